using System.Diagnostics;
using System.Globalization;
using Shinano.Control.Api.Xend;
using Shinano.Fork.Bench;
using Shinano.Linux;

// Usage: Shinano.Fork.Bench DOMAIN [COUNT ...]. Copies a running domain whose console has a shell, COUNT at once for each COUNT, and prints a row for each.
if (args is not [string domain, .. string[] words] || words.Any(word => !int.TryParse(word, out _)))
{
    await Console.Error.WriteLineAsync("usage: Shinano.Fork.Bench DOMAIN [COUNT ...]");
    return 2;
}

int[] counts = words.Length == 0 ? [1, 10, 50] : [.. words.Select(word => int.Parse(word, CultureInfo.InvariantCulture))];
using XendClient xend = new(ShinanoPaths.Current.XendSocket);
Console.WriteLine("copies  domain still  running, median  running, worst  console answers, median  worst   own memory per copy   of it RAM   parent's RAM  (ms, MiB)");
foreach (int count in counts)
{
    long began = Stopwatch.GetTimestamp();
    ForkResult result = await xend.ForkAsync(domain, new ForkRequest("bench", count, Temporary: true), CancellationToken.None);
    if (result.Failures.Count > 0)
    {
        await Console.Error.WriteLineAsync(result.Failures[0].Message);
        return 1;
    }

    double[] answers = await Task.WhenAll(result.Domains.Select(async copy =>
    {
        using DomainConsole console = await DomainConsole.OpenAsync(copy.ConsoleSocket);
        _ = await console.RunAsync("true");
        return Stopwatch.GetElapsedTime(began).TotalMilliseconds;
    }));
    List<MemoryFigures> memory = [];
    foreach (CreatedDomain copy in result.Domains)
    {
        memory.Add(MemoryFigures.Of((await xend.DescribeAsync(copy.Name, CancellationToken.None)).ProcessId!.Value));
    }

    MemoryFigures parent = MemoryFigures.Of((await xend.DescribeAsync(domain, CancellationToken.None)).ProcessId!.Value);
    double[] running = [.. result.RunningNanoseconds.Select(time => time / 1e6)];
    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{count,6}  {result.StillNanoseconds / 1e6,12:0.0}  {Median(running),15:0.0}  {running.Max(),14:0.0}  {Median(answers),23:0.0}  {answers.Max(),5:0.0}"
        + $"  {Median([.. memory.Select(one => one.Private)]),20:0.0}  {Median([.. memory.Select(one => one.PrivateRam)]),10:0.0}  {parent.Ram,13:0.0}"));
    foreach (CreatedDomain copy in result.Domains)
    {
        await xend.DestroyAsync(copy.Name, CancellationToken.None);
    }
}

return 0;

static double Median(double[] values)
{
    double[] sorted = [.. values.Order()];
    return (sorted[sorted.Length / 2] + sorted[(sorted.Length - 1) / 2]) / 2;
}
