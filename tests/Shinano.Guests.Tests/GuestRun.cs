using System.Diagnostics;
using System.Text;
using Shinano.Control.GuestPackages;
using Shinano.Linux;
using Shinano.Repository;

namespace Shinano.Guests;

/// <summary>
/// A guest with Debian's kernel that ran a script, in a process of its own (<c>Shinano.Machine run</c>), from its start to its end.
/// </summary>
/// <param name="ExitCode">Of the process; 0 after the guest's power-off.</param>
/// <param name="Console">What the guest wrote, lines ended by a line feed.</param>
/// <param name="Diagnostics">What the machine wrote to standard error, its counters at the end.</param>
/// <param name="Elapsed">From the start of the process to its end.</param>
internal sealed record GuestRun(int ExitCode, string Console, string Diagnostics, TimeSpan Elapsed)
{
    /// <summary>The collection of every class that runs guests: each guest has as many threads as vCPUs, and two at once would only make each other wait.</summary>
    public const string Sequence = "guests";

    /// <summary>Longer than any guest of the tests takes on a busy machine: a guest that hangs ends here, with its console in the message.</summary>
    private static readonly TimeSpan GuestLimit = TimeSpan.FromMinutes(10);

    /// <summary>Prepares the guest's files, fetching what is missing, and skips the test when they cannot be had.</summary>
    public static async Task<QuickstartGuest> PrepareAsync(
        string kernelPackage, string script, IReadOnlyList<RamdiskFile> files, CancellationToken cancellation)
    {
        try
        {
            return await QuickstartGuest.PrepareAsync(Cache, kernelPackage, files, script, cancellation: cancellation);
        }
        catch (GuestPackageUnavailableException missing)
        {
            Assert.Skip(missing.Message);
            throw;
        }
    }

    public static GuestPackageCache Cache => new(ShinanoPaths.Current.CacheDirectory);

    /// <summary>Runs a guest to its end.</summary>
    /// <param name="guest">Kernel and ramdisk.</param>
    /// <param name="vcpus">1 to 32.</param>
    /// <param name="memory">As the machine takes it: "256M".</param>
    /// <param name="cancellation">Ends the guest, hard.</param>
    /// <param name="engine">One of <see cref="GuestEngine"/>; null for the machine's own choice.</param>
    public static async Task<GuestRun> RunAsync(
        QuickstartGuest guest, int vcpus, string memory, CancellationToken cancellation, string? engine = null)
    {
        string machine = RepositoryRoot.Program("Shinano.Machine");
        ProcessStartInfo start = new(
            Environment.ProcessPath is { } path && Path.GetFileName(path) == "dotnet" ? path : "dotnet",
            [machine, "run", "--kernel", guest.KernelPath, "--ramdisk", guest.RamdiskPath, "--memory", memory,
                "--vcpus", $"{vcpus}", "--cmdline", QuickstartGuest.CommandLine, "--stats", .. GuestEngine.Arguments(engine)])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Stopwatch clock = Stopwatch.StartNew();
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        StringBuilder console = new();
        Task output = CopyAsync(process.StandardOutput, console);
        Task<string> diagnostics = process.StandardError.ReadToEndAsync(CancellationToken.None);
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(GuestLimit);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            await output;
            Assert.Fail($"the guest did not end within {clock.Elapsed}; its console:\n{console}");
        }

        await output;
        return new GuestRun(process.ExitCode, console.ToString(), await diagnostics, clock.Elapsed);
    }

    /// <summary>The rest of each console line that begins with a word, in order.</summary>
    public IReadOnlyList<string> After(string word) =>
        [.. Lines.Where(line => line.StartsWith(word + " ", StringComparison.Ordinal)).Select(line => line[(word.Length + 1)..])];

    /// <summary>Console lines without their ends.</summary>
    public IEnumerable<string> Lines => Console.Split('\n');

    /// <summary>A counter of the machine; 0 when it is not there.</summary>
    public long Counter(string name) =>
        Diagnostics.Split('\n').Where(line => line.StartsWith(name + " ", StringComparison.Ordinal))
            .Select(line => long.Parse(line[(name.Length + 1)..], System.Globalization.CultureInfo.InvariantCulture)).FirstOrDefault();

    /// <summary>Time, instructions and speed, for people.</summary>
    public string Summary(int vcpus)
    {
        long instructions = Enumerable.Range(0, vcpus).Sum(i => Counter($"vcpu{i}.instructions"));
        long nanoseconds = Enumerable.Range(0, vcpus).Sum(i => Counter($"vcpu{i}.cpu-time-ns"));
        return $"{Elapsed.TotalSeconds:f1} s, {instructions / 1_000_000} million instructions, {instructions * 1000.0 / Math.Max(1, nanoseconds):f0} million a CPU second";
    }

    /// <summary>Fails, showing the console, unless the script ended well and the guest powered off.</summary>
    public void AssertEndedWell() =>
        Assert.True(
            ExitCode == 0 && Lines.Contains("SHINANO RUN ENDED 0"),
            $"exit code {ExitCode}\n{Console}\n{Diagnostics}");

    private static async Task CopyAsync(StreamReader from, StringBuilder to)
    {
        char[] buffer = new char[4096];
        int count;
        while ((count = await from.ReadAsync(buffer)) > 0)
        {
            to.Append(buffer.AsSpan(0, count)).Replace("\r", string.Empty, to.Length - count, count);
        }
    }
}
