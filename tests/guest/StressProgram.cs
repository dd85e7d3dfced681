using System.ComponentModel;
using System.Diagnostics;
using Shinano.Control.GuestPackages;

namespace Shinano.Guests;

/// <summary>
/// The program of stress*.c, built with the host's gcc. It runs the same on the host and in a guest; what differs is a fault of
/// ours. The sources are expected in "guest/" beside the test assembly.
/// </summary>
internal sealed class StressProgram
{
    private const string GuestPath = "/opt/stress";

    private StressProgram(string path) => Path = path;

    /// <summary>The executable on the host, linked statically.</summary>
    public string Path { get; }

    /// <summary>Builds it into <paramref name="directory"/>; null and a reason to skip the test when the host has no static C toolchain.</summary>
    public static async Task<(StressProgram? Program, string Reason)> TryBuildAsync(string directory, CancellationToken cancellation)
    {
        var sources = Directory.GetFiles(System.IO.Path.Combine(AppContext.BaseDirectory, "guest"), "stress*.c");
        var target = System.IO.Path.Combine(directory, "stress");
        string[] options = ["-O2", "-Wall", "-static", "-pthread", "-o", target];
        var (code, _, error) = await RunAsync("gcc", [.. options, .. sources], null, cancellation);
        return code switch
        {
            0 => (new StressProgram(target), string.Empty),
            127 => (null, "gcc was not found; install gcc and libc6-dev to build the guest stress program"),
            _ when error.Contains("cannot find -l", StringComparison.Ordinal) => (null, "there is no static C library; install libc6-dev"),
            _ => throw new InvalidOperationException($"the guest stress program does not build:\n{error}"),
        };
    }

    /// <summary>The program as a file of a guest's ramdisk.</summary>
    public RamdiskFile ToRamdiskFile() => new(GuestPath, File.ReadAllBytes(Path), Executable: true);

    /// <summary>
    /// A script for the guest (or, with STRESS and BUSYBOX set, for the host): rounds of all checks for some time in several
    /// processes, then three lines "SUM name hash" over a deterministic stream: as it is, through gzip, and through gzip and back.
    /// </summary>
    public static string Script(int seconds, int workers, long streamBytes) =>
        $$"""
        stress=${STRESS:-{{GuestPath}}}
        box=${BUSYBOX:-/bin/busybox}
        $stress -s {{seconds}} -w {{workers}} || exit 1
        {{SumScript(streamBytes)}}
        """;

    /// <summary>The "SUM" lines of <see cref="Script"/>, from the host's own CPU with the same busybox.</summary>
    public async Task<IReadOnlyList<string>> HostSumsAsync(string busybox, long streamBytes, CancellationToken cancellation)
    {
        var script = $"stress='{Path}'\nbox='{busybox}'\n{SumScript(streamBytes)}\n";
        var (code, output, error) = await RunAsync(busybox, ["sh", "-c", script], null, cancellation);
        return code == 0
            ? [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line.StartsWith("SUM ", StringComparison.Ordinal))]
            : throw new InvalidOperationException($"busybox ended with {code}: {error}");
    }

    /// <summary>Runs the program here; its output and exit code.</summary>
    public async Task<(int Code, string Output)> RunHereAsync(string[] arguments, CancellationToken cancellation)
    {
        var (code, output, error) = await RunAsync(Path, arguments, null, cancellation);
        return (code, output + error);
    }

    private static string SumScript(long streamBytes) =>
        $"""
        echo "SUM plain $($stress -S {streamBytes} | $box sha256sum | $box cut -c1-64)"
        echo "SUM gzip $($stress -S {streamBytes} | $box gzip -c | $box sha256sum | $box cut -c1-64)"
        echo "SUM back $($stress -S {streamBytes} | $box gzip -c | $box gunzip -c | $box sha256sum | $box cut -c1-64)"
        """;

    private static async Task<(int Code, string Output, string Error)> RunAsync(
        string program, string[] arguments, string? directory, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = directory ?? string.Empty,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["LC_ALL"] = "C";
        using var process = new Process { StartInfo = start };
        try
        {
            process.Start();
        }
        catch (Win32Exception)
        {
            return (127, string.Empty, $"{program} was not found");
        }

        var output = process.StandardOutput.ReadToEndAsync(cancellation);
        var error = process.StandardError.ReadToEndAsync(cancellation);
        try
        {
            await process.WaitForExitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        return (process.ExitCode, await output, await error);
    }
}
