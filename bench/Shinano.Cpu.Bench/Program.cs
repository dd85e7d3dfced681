using System.Diagnostics;
using System.Globalization;
using Iced.Intel;
using Shinano.Cpu.Bench;

// Guest instructions per second of the interpreter on small loops. Each is run once to warm up, then several times; the best and the spread are printed.
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

Console.WriteLine("loop       guest instructions   best MIPS   worst MIPS");
foreach ((string name, Action<Assembler> code) in loops)
{
    if (args.Length > 0 && !args.Contains(name))
    {
        continue;
    }

    using BenchGuest guest = new(code);
    guest.Run();
    double best = 0;
    double worst = double.MaxValue;
    ulong instructions = 0;
    for (int i = 0; i < Rounds; i++)
    {
        long start = Stopwatch.GetTimestamp();
        instructions = guest.Run();
        double rate = instructions / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e6;
        best = Math.Max(best, rate);
        worst = Math.Min(worst, rate);
    }

    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-10} {instructions,18} {best,11:F0} {worst,12:F0}"));
}
