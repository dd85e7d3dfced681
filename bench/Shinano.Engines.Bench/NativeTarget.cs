using System.Diagnostics;

namespace Shinano.Engines.Bench;

/// <summary>The host itself: each group is a process.</summary>
internal sealed class NativeTarget(GuestFiles files, TimeSpan limit) : ITarget
{
    public Column Column => Column.Native;

    public TimeSpan? BootTime => null;

    public async Task<Measurement> RunAsync(string group, int percent, CancellationToken cancellation)
    {
        ProcessStartInfo start = new(files.Program, [group, $"{percent}"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["BUSYBOX"] = files.Busybox;
        using Process process = Process.Start(start)!;
        using CancellationTokenSource timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timer.CancelAfter(limit);
        try
        {
            Task<string> error = process.StandardError.ReadToEndAsync(timer.Token);
            string output = await process.StandardOutput.ReadToEndAsync(timer.Token).ConfigureAwait(false);
            await process.WaitForExitAsync(timer.Token).ConfigureAwait(false);
            return Measurement.TryParse(output.TrimEnd())
                ?? throw new BenchFailureException($"native: {group} ended with {process.ExitCode}: {output}{await error.ConfigureAwait(false)}");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new BenchFailureException($"native: {group} did not end within {limit.TotalSeconds:f0} s");
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }

    public long? MemoryAboveRam() => null;

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
