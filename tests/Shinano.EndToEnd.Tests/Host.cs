using System.Diagnostics;
using Shinano.Repository;

namespace Shinano.EndToEnd.Tests;

/// <summary>
/// A Shinano of its own under a temporary SHINANO_HOME, driven through the launchers in bin/ as a person would. Ends its daemon and domains when disposed.
/// </summary>
internal sealed class Host : IAsyncDisposable
{
    private static readonly TimeSpan ToolLimit = TimeSpan.FromMinutes(5);

    private Host(string home) => Home = home;

    public string Home { get; }

    /// <summary>Network namespace, of ip-netns(8), that everything runs in; null for the test's own.</summary>
    public string? NetworkNamespace { get; init; }

    /// <summary>Domain processes that xend keeps started ahead.</summary>
    public int WarmDomains { get; init; }

    /// <summary>User id that everything runs as; null for the test's own.</summary>
    public int? User { get; init; }

    /// <summary>Makes a home.</summary>
    /// <param name="networkNamespace">See <see cref="NetworkNamespace"/>.</param>
    /// <param name="user">See <see cref="User"/>; for others than our own we must be root.</param>
    public static Host Create(string? networkNamespace = null, int? user = null)
    {
        // A short path: unix socket names end at 107 bytes.
        string home = Directory.CreateTempSubdirectory("shi").FullName;
        Host host = new(home) { NetworkNamespace = networkNamespace, User = user };
        host.Give(home);
        return host;
    }

    /// <summary>Gives a file or directory to <see cref="User"/>.</summary>
    public void Give(string path)
    {
        if (User is { } user)
        {
            using Process chown = Process.Start("chown", [$"{user}:{user}", path]);
            chown.WaitForExit();
        }
    }

    /// <summary>Skips a test of what others show in passing, unless all are asked for by name (SHINANO_END_TO_END=all).</summary>
    public static void SkipUnlessAll() => Assert.SkipUnless(Environment.GetEnvironmentVariable("SHINANO_END_TO_END") == "all", "SHINANO_END_TO_END=all has this, too");

    /// <summary>Runs a launcher of bin/ and waits for its end.</summary>
    public async Task<ToolResult> RunAsync(string tool, string[] arguments, string? input = null)
    {
        using Process process = Start(tool, arguments);
        using CancellationTokenSource limit = new(ToolLimit);
        Task<string> output = process.StandardOutput.ReadToEndAsync(limit.Token);
        Task<string> error = process.StandardError.ReadToEndAsync(limit.Token);
        if (input is not null)
        {
            await process.StandardInput.WriteAsync(input.AsMemory(), limit.Token);
        }

        process.StandardInput.Close();
        try
        {
            await process.WaitForExitAsync(limit.Token);
            return new ToolResult(process.ExitCode, await output, await error);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{tool} {string.Join(' ', arguments)} did not end in {ToolLimit}");
        }
    }

    /// <summary>The same for a tool that must end well.</summary>
    public async Task<ToolResult> SucceedAsync(string tool, params string[] arguments)
    {
        ToolResult result = await RunAsync(tool, arguments);
        Assert.True(result.ExitCode == 0, result.ToString());
        return result;
    }

    public Task<ToolResult> XmAsync(params string[] arguments) => RunAsync("xm", arguments);

    /// <summary>Starts a launcher of bin/ with its standard streams redirected.</summary>
    public Process Start(string tool, string[] arguments)
    {
        string launcher = Path.Combine(RepositoryRoot.Path, "bin", tool);
        string[] words =
        [
            .. NetworkNamespace is { } name ? (string[])["ip", "netns", "exec", name] : [],
            .. User is { } user ? (string[])["setpriv", $"--reuid={user}", $"--regid={user}", "--clear-groups"] : [],
            launcher,
            .. arguments,
        ];
        ProcessStartInfo start = new(words[0], words[1..])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["SHINANO_HOME"] = Home;
        if (User is not null)
        {
            start.Environment["HOME"] = Home;
        }

        start.Environment["SHINANO_WARM_DOMAINS"] = WarmDomains.ToString(System.Globalization.CultureInfo.InvariantCulture);

        // Built with this project. A launcher that built again would rewrite programs that other test projects run at the same time.
        start.Environment["SHINANO_NO_BUILD"] = "1";
        return Process.Start(start) ?? throw new InvalidOperationException("the launcher did not start");
    }

    /// <summary>Waits, by a watch, until a node of xenstore has a value.</summary>
    public async Task UntilAsync(string node, string value)
    {
        using Process watch = Start("xenstore-watch", [node]);
        try
        {
            while (await watch.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) is not null)
            {
                if ((await RunAsync("xenstore-read", [node])).Output.Trim() == value)
                {
                    return;
                }
            }

            Assert.Fail($"{node} did not become {value}");
        }
        finally
        {
            watch.Kill(entireProcessTree: true);
        }
    }

    /// <summary>Writes a configuration file and returns its path.</summary>
    public string Configuration(string name, string text)
    {
        string path = Path.Combine(Home, name + ".cfg");
        File.WriteAllText(path, $"name = \"{name}\"\n{text}\n");
        return path;
    }

    /// <summary>Process id of xend.</summary>
    public int Daemon() =>
        Processes().Single(id => DomainProcesses.Words(id).Contains("Shinano.Control.Daemon.dll", StringComparison.Ordinal));

    /// <summary>kill -9 of xend.</summary>
    public async Task KillDaemonAsync()
    {
        using Process process = Process.GetProcessById(Daemon());
        process.Kill();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>Processes whose command line or environment names this home.</summary>
    public IReadOnlyList<int> Processes()
    {
        List<int> found = [];
        foreach (string directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory), out int id) && id != Environment.ProcessId && Names(directory, "environ"))
            {
                found.Add(id);
            }
        }

        return found;

        bool Names(string directory, string file)
        {
            try
            {
                return File.ReadAllText(Path.Combine(directory, file)).Contains("SHINANO_HOME=" + Home + "\0", StringComparison.Ordinal);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (int id in Processes())
        {
            try
            {
                using Process process = Process.GetProcessById(id);
                process.Kill();

                // Also after a test that was cancelled.
                await process.WaitForExitAsync(CancellationToken.None);
            }
            catch (ArgumentException)
            {
                // It ended by itself.
            }
        }

        Directory.Delete(Home, recursive: true);
    }
}
