using Shinano.Control.Api;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm;

/// <summary>bin/xend: start, stop, status of the daemon; without a word it serves in the foreground (the launcher does that itself).</summary>
internal static class XendTool
{
    public static async Task<int> RunAsync(string[] arguments, XmEnvironment environment)
    {
        try
        {
            switch (arguments)
            {
                case ["start"]:
                    (await environment.ConnectAsync(CancellationToken.None)).Dispose();
                    return ExitCodes.Success;
                case ["stop"]:
                    return await StopAsync(environment);
                case ["status"]:
                    return await StatusAsync(environment);
                case ["path"]:
                    await environment.Output.WriteLineAsync(ProgramLocator.Xend);
                    return ExitCodes.Success;
                default:
                    await environment.Error.WriteLineAsync("usage: xend [start|stop|status]   (without a word it serves in the foreground)");
                    return ExitCodes.Usage;
            }
        }
        catch (Exception e) when (e is XendFailureException or IOException or UnauthorizedAccessException)
        {
            environment.Complain(e.Message);
            return ExitCodes.Failure;
        }
    }

    private static async Task<int> StopAsync(XmEnvironment environment)
    {
        if (!await XendStarter.IsServingAsync(environment.Paths.XendSocket, CancellationToken.None))
        {
            return ExitCodes.Success;
        }

        using XendClient xend = new(environment.Paths.XendSocket);
        int process = (await xend.GetHostAsync(CancellationToken.None)).XendProcessId;
        ProcessStamp? stamp = ProcessStamp.Of(process);
        await xend.StopAsync(onlyWhenIdle: false, CancellationToken.None);
        await XendReplacement.WaitForEndAsync(stamp, CancellationToken.None);
        return ExitCodes.Success;
    }

    private static async Task<int> StatusAsync(XmEnvironment environment)
    {
        if (!await XendStarter.IsServingAsync(environment.Paths.XendSocket, CancellationToken.None))
        {
            environment.WriteLine($"xend does not run for {environment.Paths.RunDirectory}");
            return 3;
        }

        using XendClient xend = new(environment.Paths.XendSocket);
        HostInformation host = await xend.GetHostAsync(CancellationToken.None);
        environment.WriteLine($"xend runs for {environment.Paths.RunDirectory} as process {host.XendProcessId} since {host.XendStarted:u}");
        return ExitCodes.Success;
    }
}
