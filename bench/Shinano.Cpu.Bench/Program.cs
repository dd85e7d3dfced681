using System.Diagnostics;
using System.Globalization;
using Iced.Intel;
using Shinano.Cpu.Bench;

// Guest instructions per second of the interpreter on small loops. Each is run once to warm up, then several times; the median and the extremes are printed.
const int Rounds = 5;
(string Name, Action<Assembler> Code)[] loops =
[
    ("fib", Loops.Fibonacci),
    ("crc", Loops.Crc),
    ("copy8", Loops.CopyWords),
    ("repmovs", Loops.CopyString),
    ("sse", Loops.VectorSum),
    ("list", Loops.ListWalk),
];

Console.WriteLine("loop       guest instructions  median MIPS   best  worst");
foreach ((string name, Action<Assembler> code) in loops)
{
    if (args.Length > 0 && !args.Contains(name))
    {
        continue;
    }

    using BenchGuest guest = new(code);
    guest.Run();
    List<double> rates = [];
    ulong instructions = 0;
    for (int i = 0; i < Rounds; i++)
    {
        long start = Stopwatch.GetTimestamp();
        instructions = guest.Run();
        rates.Add(instructions / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e6);
    }

    rates.Sort();
    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"{name,-10} {instructions,18} {rates[Rounds / 2],12:F0} {rates[^1],6:F0} {rates[0],6:F0}"));
}
