using System.Globalization;
using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.Engines.Bench;

/// <summary>A whole run, from the guest's files to the table.</summary>
internal sealed class Benchmark(Options options)
{
    /// <returns>0, or 1 when a figure is missing or wrong.</returns>
    public async Task<int> RunAsync(CancellationToken cancellation)
    {
        string directory = Directory.CreateTempSubdirectory("shinano-bench.").FullName;
        try
        {
            Console.Error.WriteLine("preparing the guest ...");
            GuestFiles files = await GuestFiles.PrepareAsync(
                directory, new GuestPackageCache(ShinanoPaths.Current.CacheDirectory), cancellation).ConfigureAwait(false);
            string machine = Path.Combine(options.Repository, "artifacts/programs/Debug/Shinano.Machine.dll");
            Guests guests = new(files, machine, options.Limit);
            List<Column> columns = [];
            foreach (Column column in options.Columns)
            {
                if (await guests.WhyNotAsync(column, cancellation).ConfigureAwait(false) is { } reason)
                {
                    Console.WriteLine($"no column {Guests.NameOf(column)}: {reason}");
                    continue;
                }

                columns.Add(column);
            }

            if (columns.Count == 0)
            {
                throw new BenchFailureException("none of the columns can be measured here");
            }

            Figures figures = new();
            Console.WriteLine($"{HostText.Describe()}; load {HostText.Load()} at the start");
            Console.WriteLine($"guest: {files.Release}, {Guests.MemoryMegabytes} MiB; {options.Rounds} run(s) at scale {options.Percent}");
            if (options.Throughput)
            {
                await new Throughput(options, guests, figures).RunAsync(columns, cancellation).ConfigureAwait(false);
            }
            else
            {
                await RunTableAsync(directory, files, guests, columns, figures, cancellation).ConfigureAwait(false);
            }

            return await ReportAsync(figures).ConfigureAwait(false);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private async Task RunTableAsync(
        string directory, GuestFiles files, Guests guests, List<Column> columns, Figures figures, CancellationToken cancellation)
    {
        try
        {
            for (int i = 0; i < options.Rounds; i++)
            {
                Console.Error.Write($"run {i + 1} of {options.Rounds}:");
                await new Round(options, guests, figures).RunAsync(columns, cancellation).ConfigureAwait(false);
            }

            if (options.WithXm)
            {
                await BootWithXmAsync(directory, files, columns, figures, cancellation).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            figures.AddProblem("interrupted: the table is of what was measured until then");
        }

        Console.WriteLine();
        WriteLines(TableText.Write(figures, options, columns));
        if (columns.Any(column => column != Column.Native))
        {
            Console.WriteLine();
            WriteLines(TableText.WriteRest(figures, columns));
        }
    }

    private async Task BootWithXmAsync(
        string directory, GuestFiles files, List<Column> columns, Figures figures, CancellationToken cancellation)
    {
        foreach ((string row, int warmProcesses) in ((string, int)[])[(Figures.XmBoot, 0), (Figures.WarmXmBoot, 1)])
        {
            await BootWithXmAsync(row, warmProcesses, directory, files, columns, figures, cancellation).ConfigureAwait(false);
        }
    }

    private async Task BootWithXmAsync(
        string row, int warmProcesses, string directory, GuestFiles files, List<Column> columns, Figures figures, CancellationToken cancellation)
    {
        await using XmBoot xm = new(options.Repository, directory, files, options.Limit, warmProcesses);
        await xm.StartAsync(cancellation).ConfigureAwait(false);
        for (int i = 0; i < options.Rounds; i++)
        {
            foreach (Column column in columns.Where(column => column is Column.Interpreter or Column.Translator))
            {
                try
                {
                    figures.Add(row, column, (await xm.BootAsync(column, cancellation).ConfigureAwait(false)).TotalSeconds);
                }
                catch (BenchFailureException e)
                {
                    figures.AddProblem(e.Message);
                }
            }
        }
    }

    private async Task<int> ReportAsync(Figures figures)
    {
        Console.WriteLine();
        WriteLines(figures.Skips);
        Console.WriteLine($"load {HostText.Load()} at the end{SpreadText(figures)}");
        if (options.RawFile is { } path)
        {
            await File.WriteAllLinesAsync(path, figures.Raw).ConfigureAwait(false);
        }

        foreach (string problem in figures.Problems)
        {
            Console.WriteLine($"ERROR: {problem}");
        }

        return figures.Problems.Count == 0 ? 0 : 1;
    }

    /// <summary>The worst row says how far a single figure is to be believed.</summary>
    private string SpreadText(Figures figures)
    {
        var spreads = options.Groups
            .SelectMany(group => options.Columns.Select(column => (group, column, spread: figures.Spread(group, column) ?? 1)))
            .OrderByDescending(item => item.spread).ToList();
        return options.Rounds == 1 || options.Throughput || spreads.Count == 0
            ? ""
            : string.Create(
                CultureInfo.InvariantCulture,
                $"; slowest over fastest run: median {spreads[spreads.Count / 2].spread:F2}, at most {spreads[0].spread:F2} ({spreads[0].group}, {Guests.NameOf(spreads[0].column)})");
    }

    private static void WriteLines(IEnumerable<string> lines)
    {
        foreach (string line in lines)
        {
            Console.WriteLine(line);
        }
    }
}
