using System.Diagnostics;
using Shinano.Linux;

namespace Shinano.XenStore.Tests.Hosting;

/// <summary>A server in a process of its own, to be killed.</summary>
internal sealed class ServerProcess : IDisposable
{
    private readonly Process process;

    private ServerProcess(Process process) => this.process = process;

    internal static async Task<ServerProcess> StartAsync(ShinanoPaths paths, params ushort[] domains)
    {
        string home = Path.GetDirectoryName(paths.RunDirectory)!;
        string program = Path.Combine(AppContext.BaseDirectory, "Shinano.XenStore.TestServer.dll");
        Process process = Process.Start(new ProcessStartInfo("dotnet", [program, home, .. domains.Select(domain => domain.ToString())])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
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
