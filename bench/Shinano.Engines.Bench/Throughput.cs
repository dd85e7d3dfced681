using System.Globalization;

namespace Shinano.Engines.Bench;

/// <summary>
/// The same four processes in a guest of two and in one of four vCPUs. On two host cores four vCPUs have nothing to win; what they
/// lose is what a vCPU that spins takes from the one that it waits for.
/// </summary>
internal sealed class Throughput(Options options, Guests guests, Figures figures)
{
    private static readonly int[] Counts = [2, 4];

    public async Task RunAsync(IReadOnlyList<Column> columns, CancellationToken cancellation)
    {
        if (Environment.ProcessorCount != 2)
        {
            Console.WriteLine($"this host has {Environment.ProcessorCount} cores, not 2: to compare, run under taskset -c 0,1");
        }

        Column[] measured = [.. columns.Where(column => column != Column.Native)];
        for (int i = 0; i < options.Rounds; i++)
        {
            foreach (Column column in measured)
            {
                foreach (int count in Counts)
                {
                    Console.Error.WriteLine($"run {i + 1} of {options.Rounds}: {Guests.NameOf(column)} with {count} vCPUs");
                    await MeasureAsync(column, count, cancellation).ConfigureAwait(false);
                }
            }
        }

        List<string[]> table = [["four processes", "engine", "2 vCPUs, ms", "4 vCPUs, ms", "throughput of 4 to 2"]];
        foreach (string group in Workload.ParallelGroups)
        {
            table.AddRange(measured.Select(column =>
            {
                double? two = figures.Median(RowOf(group, 2), column), four = figures.Median(RowOf(group, 4), column);
                return (string[])[group, Guests.NameOf(column), TableText.Number(two * 1000, 0), TableText.Number(four * 1000, 0), TableText.Number(two / four, 2)];
            }));
        }

        Console.WriteLine();
        foreach (string line in TableText.Align(table))
        {
            Console.WriteLine(line);
        }
    }

    private async Task MeasureAsync(Column column, int vcpus, CancellationToken cancellation)
    {
        try
        {
            await using ITarget target = await guests.StartAsync(column, vcpus, cancellation).ConfigureAwait(false);
            foreach (string group in Workload.ParallelGroups)
            {
                Measurement measurement = await target.RunAsync(group, options.Percent, cancellation).ConfigureAwait(false);
                figures.Add(measurement, column, RowOf(group, vcpus));
            }
        }
        catch (BenchFailureException e)
        {
            figures.AddProblem(e.Message);
        }
    }

    private static string RowOf(string group, int vcpus) => string.Create(CultureInfo.InvariantCulture, $"{group} on {vcpus}");
}
