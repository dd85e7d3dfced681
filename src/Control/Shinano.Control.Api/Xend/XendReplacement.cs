using Shinano.Control.Api.Domains;
using Shinano.Linux;

namespace Shinano.Control.Api.Xend;

/// <summary>
/// Compares the xend that serves with the one that would be started. One whose program was built anew since it started is replaced as long as it has no domains;
/// otherwise the user is told what to do.
/// </summary>
public static class XendReplacement
{
    /// <summary>Looks at the xend that serves.</summary>
    /// <param name="paths">Where it serves.</param>
    /// <param name="warn">Takes a sentence for the user.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>True when it has ended and another one is to be started.</returns>
    public static async Task<bool> EndOutdatedAsync(ShinanoPaths paths, Action<string> warn, CancellationToken cancellationToken)
    {
        string own;
        string build;
        try
        {
            own = ProgramLocator.Xend;
            build = BuildIdentity.Of(own);
        }
        catch (IOException)
        {
            // Nothing to start and nothing to compare with: what serves, serves.
            return false;
        }

        using XendClient xend = new(paths.XendSocket);
        XendProgram? running;
        try
        {
            running = await xend.FindProgramAsync(cancellationToken);
        }
        catch (XendFailureException e) when (e.Failure.Code == DomainFailureCode.HostResource)
        {
            // It is ending; whoever needs it finds out, and knows whether to try again.
            return false;
        }

        if (running is null)
        {
            warn("the running xend is older than this program and may not understand it: 'xend stop' ends it, and the next command starts the new one");
            return false;
        }

        if (running.Build == build)
        {
            return false;
        }

        if (running.Path != own)
        {
            warn($"the running xend (process {running.ProcessId}) is {running.Path}, not {own}: 'xend stop' ends it, and the next command starts this one");
            return false;
        }

        ProcessStamp? stamp = ProcessStamp.Of(running.ProcessId);
        try
        {
            await xend.StopAsync(onlyWhenIdle: true, cancellationToken);
        }
        catch (XendFailureException e) when (e.Failure.Code == DomainFailureCode.WrongState)
        {
            warn($"xend (process {running.ProcessId}) was built anew since it started, and has domains: {Advice(running)}");
            return false;
        }
        catch (XendFailureException e) when (e.Failure.Code == DomainFailureCode.HostResource)
        {
            // Another command was faster and has ended it.
        }

        await WaitForEndAsync(stamp, cancellationToken);
        return true;
    }

    /// <summary>Waits until a process is gone.</summary>
    public static async Task WaitForEndAsync(ProcessStamp? process, CancellationToken cancellationToken)
    {
        while (process?.IsAlive() ?? false)
        {
            await Task.Delay(20, cancellationToken);
        }
    }

    private static string Advice(XendProgram running) => running.ControlVersion == DomainControlChannel.ProtocolVersion
        ? "'xend stop' ends it, and the next command starts the new one; the domains go on meanwhile"
        : "the new one could not take them over. Shut them down, then 'xend stop'";
}
