using System.Diagnostics;

namespace Shinano.Engines.Bench;

/// <summary>One round: every column's guest boots, then each group runs on all of them, one after the other, so that a busy host is busy for all.</summary>
internal sealed class Round(Options options, Guests guests, Figures figures)
{
    /// <summary>How far a guest's clock may be off: a share of the time, and the time in which the console carries a line.</summary>
    private const double ClockShare = 0.01, ClockSeconds = 0.1;

    private readonly List<ITarget> _targets = [];

    public async Task RunAsync(IReadOnlyList<Column> columns, CancellationToken cancellation)
    {
        try
        {
            Dictionary<ITarget, (long Host, long Guest)> clocks = [];
            foreach (Column column in columns)
            {
                await GuardAsync(null, async () =>
                {
                    ITarget target = await guests.StartAsync(column, vcpus: 1, cancellation).ConfigureAwait(false);
                    _targets.Add(target);
                    clocks[target] = await ReadClocksAsync(target, cancellation).ConfigureAwait(false);
                    if (target.BootTime is { } boot)
                    {
                        figures.Add(Figures.Boot, column, boot.TotalSeconds);
                    }
                }).ConfigureAwait(false);
            }

            foreach (string group in options.Groups)
            {
                Console.Error.Write($" {group}");
                foreach (ITarget target in _targets.ToArray())
                {
                    await GuardAsync(target, async () =>
                        figures.Add(await target.RunAsync(group, options.Percent, cancellation).ConfigureAwait(false), target.Column)).ConfigureAwait(false);
                }
            }

            foreach (ITarget target in _targets.ToArray())
            {
                await GuardAsync(target, () => FinishAsync(target, clocks[target], cancellation)).ConfigureAwait(false);
            }
        }
        finally
        {
            foreach (ITarget target in _targets)
            {
                await target.DisposeAsync().ConfigureAwait(false);
            }

            Console.Error.WriteLine();
        }
    }

    /// <summary>The clock that timed the groups must be the host's, or every figure of the column is worth nothing.</summary>
    private async Task FinishAsync(ITarget target, (long Host, long Guest) before, CancellationToken cancellation)
    {
        if (target.MemoryAboveRam() is { } bytes)
        {
            figures.Add(Figures.Memory, target.Column, bytes);
        }

        (long host, long guest) = await ReadClocksAsync(target, cancellation).ConfigureAwait(false);
        double hostSeconds = Stopwatch.GetElapsedTime(before.Host, host).TotalSeconds;
        double guestSeconds = (guest - before.Guest) / 1e9;
        double off = Math.Abs(guestSeconds - hostSeconds);
        if (off > (ClockShare * hostSeconds) + ClockSeconds)
        {
            figures.AddProblem(
                $"{Guests.NameOf(target.Column)}: its clock went {guestSeconds:f2} s while the host's went {hostSeconds:f2} s; its figures are not to be trusted");
        }
    }

    private static async Task<(long Host, long Guest)> ReadClocksAsync(ITarget target, CancellationToken cancellation)
    {
        Measurement clock = await target.RunAsync("clock", 0, cancellation).ConfigureAwait(false);
        return (Stopwatch.GetTimestamp(), clock.Nanoseconds);
    }

    /// <summary>A target that fails is left out of the rest of the round; the others go on.</summary>
    private async Task GuardAsync(ITarget? target, Func<Task> action)
    {
        try
        {
            await action().ConfigureAwait(false);
        }
        catch (BenchFailureException e)
        {
            figures.AddProblem(e.Message);
            if (target is not null && target.Column != Column.Native)
            {
                _targets.Remove(target);
                await target.DisposeAsync().ConfigureAwait(false);
            }
        }
    }
}
