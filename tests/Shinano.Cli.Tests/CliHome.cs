using System.Diagnostics;
using Shinano.Repository;

namespace Shinano.Cli.Tests;

/// <summary>Runs our programs as a user does, in a SHINANO_HOME of their own, with the double as the domain process.</summary>
internal sealed class CliHome : IAsyncDisposable
{
    private CliHome(string directory) => Directory = directory;

    public string Directory { get; }

    /// <summary>The xend that commands start and expect.</summary>
    public string Xend { get; set; } = RepositoryRoot.Program("Shinano.Control.Daemon");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static CliHome Create()
    {
        // Short: unix socket paths have 107 bytes.
        CliHome home = new(System.IO.Directory.CreateTempSubdirectory("sx-").FullName);
        File.WriteAllText(Path.Combine(home.Directory, "kernel"), "not looked at");
        home.WriteConfiguration("a.cfg", "name = 'a'\n");
        return home;
    }

    public string WriteConfiguration(string file, string text)
    {
        string path = Path.Combine(Directory, file);
        File.WriteAllText(path, $"{text}kernel = 'kernel'\nmemory = 64\n");
        return path;
    }

    public Task<CliResult> XmAsync(params string[] arguments) => RunAsync("", "xm", arguments);

    /// <summary>Runs a tool with <paramref name="input"/> as a pipe on its standard input.</summary>
    public async Task<CliResult> RunAsync(string input, string tool, params string[] arguments)
    {
        ProcessStartInfo start = new("dotnet", [RepositoryRoot.Program("Shinano.Cli"), tool, .. arguments])
        {
            WorkingDirectory = Directory,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["SHINANO_HOME"] = Directory;
        start.Environment["SHINANO_XEND"] = Xend;
        start.Environment["SHINANO_WARM_DOMAINS"] = "0";
        start.Environment["SHINANO_MACHINE"] = RepositoryRoot.Program("Shinano.Control.FakeDomain");
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(Cancellation);
        Task<string> error = process.StandardError.ReadToEndAsync(Cancellation);
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        await process.WaitForExitAsync(Cancellation);
        return new CliResult(process.ExitCode, await output, await error);
    }

    public async ValueTask DisposeAsync()
    {
        // Destroys what a failed test left, so that no process outlives it.
        CliResult list = await XmAsync("list");
        foreach (string line in list.Output.Split('\n').Skip(2).Where(line => line.Length > 0))
        {
            await XmAsync("destroy", line.Split(' ')[0]);
        }

        await RunAsync("", "xend", "stop");
        System.IO.Directory.Delete(Directory, recursive: true);
    }
}
