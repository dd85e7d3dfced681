using System.Diagnostics;
using Shinano.Linux;

namespace Shinano.XenStore.Tests.Hosting;

/// <summary>A server in a process of its own, to be killed.</summary>
internal sealed class ServerProcess : IDisposable
{
    private readonly Process process;

    private ServerProcess(Process process) => this.process = process;

    /// <summary>A server with some domains, all of which have the token of <see cref="RelayTests.Token"/>.</summary>
    internal static async Task<ServerProcess> StartAsync(ShinanoPaths paths, params ushort[] domains)
    {
        string[] command = [.. Command(paths), RelayTests.Token.ToText(), .. domains.Select(domain => domain.ToString())];
        return await StartAsync(new ProcessStartInfo(command[0], command[1..]));
    }

    /// <summary>A server that can make no file larger than a limit: what a full disk is to it.</summary>
    internal static async Task<ServerProcess> StartOnSmallDiskAsync(ShinanoPaths paths, int blocksOf512Bytes)
    {
        // The runtime's own memory files fall under the limit too unless it maps its code once only.
        var start = new ProcessStartInfo("/bin/sh",
            ["-c", $"trap '' XFSZ; ulimit -f {blocksOf512Bytes}; exec \"$@\"", "sh", .. Command(paths)]);
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        return await StartAsync(start);
    }

    private static string[] Command(ShinanoPaths paths) =>
    [
        "dotnet",
        Path.Combine(AppContext.BaseDirectory, "Shinano.XenStore.TestServer.dll"),
        Path.GetDirectoryName(paths.RunDirectory)!,
    ];

    private static async Task<ServerProcess> StartAsync(ProcessStartInfo start)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        Process process = Process.Start(start)!;
        Assert.Equal("ready", await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
        return new ServerProcess(process);
    }

    /// <summary>SIGKILL, and waits until it is gone.</summary>
    internal async Task KillAsync()
    {
        process.Kill();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    public void Dispose()
    {
        if (!process.HasExited)
        {
            process.Kill();
            process.WaitForExit();
        }

        process.Dispose();
    }
}
