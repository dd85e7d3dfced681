using System.Diagnostics;
using System.Text;
using System.Threading.Channels;

namespace Shinano.Engines.Bench;

/// <summary>A guest in a process of ours, with its console on that process's standard input and output.</summary>
internal sealed class ConsoleGuest : ITarget
{
    /// <summary>How much of the console an error message shows.</summary>
    private const int TailLines = 15;

    /// <summary>A guest that was asked to end has this long before its process is killed.</summary>
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(20);

    private readonly Process _process;
    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();
    private readonly Queue<string> _tail = new();
    private readonly StringBuilder _errors = new();
    private readonly string _name;
    private readonly TimeSpan _limit;
    private readonly long _memory;
    private readonly long _started = Stopwatch.GetTimestamp();
    private bool _broken;

    private ConsoleGuest(Column column, string name, Process process, long memory, TimeSpan limit)
    {
        Column = column;
        _name = name;
        _process = process;
        _memory = memory;
        _limit = limit;
    }

    public Column Column { get; }

    public TimeSpan? BootTime { get; private set; }

    /// <summary>Starts the process and waits for the guest's first line.</summary>
    /// <param name="column">Where its figures go.</param>
    /// <param name="name">For messages.</param>
    /// <param name="start">The process; its standard streams are redirected here.</param>
    /// <param name="memory">The guest's RAM in bytes.</param>
    /// <param name="limit">For the boot and for each group.</param>
    /// <param name="cancellation">Ends the process.</param>
    /// <exception cref="BenchFailureException">It did not come up.</exception>
    public static async Task<ConsoleGuest> StartAsync(
        Column column, string name, ProcessStartInfo start, long memory, TimeSpan limit, CancellationToken cancellation)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        Process process = new() { StartInfo = start };
        ConsoleGuest guest = new(column, name, process, memory, limit);
        process.Start();
        _ = guest.ReadOutputAsync();
        _ = guest.ReadErrorsAsync();
        try
        {
            await guest.WaitForAsync("the boot", line => line == GuestFiles.Ready, cancellation).ConfigureAwait(false);
            guest.BootTime = Stopwatch.GetElapsedTime(guest._started);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async Task<Measurement> RunAsync(string group, int percent, CancellationToken cancellation)
    {
        await SendAsync($"{group} {percent}").ConfigureAwait(false);
        Measurement? result = null;
        await WaitForAsync(
            group,
            line => line.StartsWith("BENCH-FAILED", StringComparison.Ordinal)
                ? throw Failure($"{group} failed in the guest")
                : (result = Measurement.TryParse(line)) is not null,
            cancellation).ConfigureAwait(false);
        return result!.Group == group ? result : throw Failure($"asked for {group}, got {result.Group}");
    }

    public long? MemoryAboveRam() => ProcessMemory.AboveRam(_process.Id, _memory);

    /// <summary>Asks the guest to power off; kills its process when that does not help or it is out of step.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            if (!_broken)
            {
                await SendAsync($"{GuestFiles.End} 0").ConfigureAwait(false);
                using CancellationTokenSource timer = new(EndLimit);
                await _process.WaitForExitAsync(timer.Token).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or BenchFailureException)
        {
            // Killed below.
        }

        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
        }

        _process.Dispose();
    }

    private async Task SendAsync(string line)
    {
        try
        {
            await _process.StandardInput.WriteAsync(line + "\n").ConfigureAwait(false);
            await _process.StandardInput.FlushAsync().ConfigureAwait(false);
        }
        catch (IOException)
        {
            throw Failure("its process has ended");
        }
    }

    private async Task WaitForAsync(string what, Func<string, bool> isIt, CancellationToken cancellation)
    {
        using CancellationTokenSource timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timer.CancelAfter(_limit);
        try
        {
            while (!isIt(await _lines.Reader.ReadAsync(timer.Token).ConfigureAwait(false)))
            {
            }
        }
        catch (OperationCanceledException)
        {
            _broken = true;
            cancellation.ThrowIfCancellationRequested();
            throw Failure($"{what} did not end within {_limit.TotalSeconds:f0} s");
        }
        catch (ChannelClosedException)
        {
            throw Failure($"its process ended during {what}");
        }
    }

    private BenchFailureException Failure(string what)
    {
        _broken = true;
        lock (_tail)
        {
            return new BenchFailureException($"{_name}: {what}\n{string.Join('\n', _tail)}\n{_errors}".TrimEnd());
        }
    }

    private async Task ReadOutputAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            line = line.Trim('\r');
            lock (_tail)
            {
                _tail.Enqueue(line);
                if (_tail.Count > TailLines)
                {
                    _tail.Dequeue();
                }
            }

            _lines.Writer.TryWrite(line);
        }

        _lines.Writer.Complete();
    }

    private async Task ReadErrorsAsync()
    {
        while (await _process.StandardError.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            lock (_tail)
            {
                // A guest that complains without end must not fill the host's memory.
                if (_errors.Length < 1 << 16)
                {
                    _errors.AppendLine(line);
                }
            }
        }
    }
}
