using System.Diagnostics;
using System.Globalization;

namespace Shinano.Engines.Bench;

/// <summary>`xm create -c` as a person types it, with an xend of its own in a private directory.</summary>
/// <param name="repository">Root of the checkout, for bin/.</param>
/// <param name="directory">For xend's files; sockets have short paths, so near the root.</param>
/// <param name="files">What the guest runs.</param>
/// <param name="limit">For the boot.</param>
/// <param name="warmProcesses">Domain processes that xend keeps started ahead; 1 unless it is told otherwise.</param>
internal sealed class XmBoot(string repository, string directory, GuestFiles files, TimeSpan limit, int warmProcesses) : IAsyncDisposable
{
    private const string DomainName = "bench";

    private readonly string _home = Path.Combine(directory, $"home{warmProcesses}");

    /// <summary>Starts xend, so that its start is not part of the first boot's time.</summary>
    public Task StartAsync(CancellationToken cancellation) => RunAsync("xend", ["start"], cancellation);

    /// <summary>From the start of xm to the guest's first line.</summary>
    /// <exception cref="BenchFailureException">It did not come up.</exception>
    public async Task<TimeSpan> BootAsync(Column column, CancellationToken cancellation)
    {
        string configuration = Path.Combine(directory, $"{Guests.EngineName(column)}.cfg");
        await File.WriteAllTextAsync(
            configuration,
            $"""
            name = "{DomainName}"
            memory = {Guests.MemoryMegabytes}
            vcpus = 1
            kernel = "{files.Kernel}"
            ramdisk = "{files.Ramdisk}"
            extra = "{Guests.CommandLine("hvc0")}"
            cpu_engine = "{Guests.EngineName(column)}"
            on_reboot = "destroy"
            on_crash = "destroy"
            """,
            cancellation).ConfigureAwait(false);
        await WaitUntilWarmAsync(cancellation).ConfigureAwait(false);
        try
        {
            await using ConsoleGuest guest = await ConsoleGuest.StartAsync(
                column, $"xm create -c ({Guests.EngineName(column)})", Tool("xm", ["create", "-c", configuration]), 0, limit, cancellation).ConfigureAwait(false);
            return guest.BootTime!.Value;
        }
        catch
        {
            await RunAsync("xm", ["destroy", DomainName], CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    public async ValueTask DisposeAsync() => await RunAsync("xend", ["stop"], CancellationToken.None).ConfigureAwait(false);

    /// <summary>Waits until as many processes as xend keeps ahead are there and have nothing left to do.</summary>
    private async Task WaitUntilWarmAsync(CancellationToken cancellation)
    {
        TimeSpan quiet = TimeSpan.FromSeconds(1);
        long started = Stopwatch.GetTimestamp();
        List<(int Id, TimeSpan Used)>? before = null;
        while (Stopwatch.GetElapsedTime(started) < limit)
        {
            List<(int Id, TimeSpan Used)> now = WarmProcesses();
            if (now.Count == warmProcesses && before is not null && now.SequenceEqual(before))
            {
                return;
            }

            before = now;
            await Task.Delay(quiet, cancellation).ConfigureAwait(false);
        }

        throw new BenchFailureException($"xend has no {warmProcesses} warm process(es) after {limit.TotalSeconds} s");
    }

    private List<(int Id, TimeSpan Used)> WarmProcesses()
    {
        List<(int Id, TimeSpan Used)> found = [];
        foreach (Process process in Process.GetProcesses())
        {
            using (process)
            {
                try
                {
                    string arguments = File.ReadAllText($"/proc/{process.Id}/cmdline");
                    if (arguments.Contains("--await", StringComparison.Ordinal) && arguments.Contains(_home, StringComparison.Ordinal))
                    {
                        found.Add((process.Id, process.TotalProcessorTime));
                    }
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException)
                {
                    // It has just ended, or it is somebody else's.
                }
            }
        }

        return found;
    }

    private async Task RunAsync(string tool, string[] arguments, CancellationToken cancellation)
    {
        ProcessStartInfo start = Tool(tool, arguments);
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        using Process process = Process.Start(start)!;
        // Not read to their end: xend inherits them and lives on.
        await process.WaitForExitAsync(cancellation).ConfigureAwait(false);
    }

    private ProcessStartInfo Tool(string name, string[] arguments)
    {
        ProcessStartInfo start = new(Path.Combine(repository, "bin", name), arguments);
        start.Environment["SHINANO_HOME"] = _home;
        start.Environment["SHINANO_WARM_DOMAINS"] = warmProcesses.ToString(CultureInfo.InvariantCulture);
        start.Environment["SHINANO_NO_BUILD"] = "1";
        return start;
    }
}
