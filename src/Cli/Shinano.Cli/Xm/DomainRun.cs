using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm;

/// <summary>A domain that xm stays with until it ends: console attached, restarts followed.</summary>
internal static class DomainRun
{
    /// <summary>Attaches to a domain that was created paused, lets it run, and returns the exit code that says how it ended.</summary>
    public static async Task<int> FollowAsync(
        XmEnvironment environment, XendClient xend, CreatedDomain domain, bool leavePaused, byte[] endOfInput, CancellationToken cancellationToken)
    {
        CreatedDomain current = domain;
        bool unpause = !leavePaused;
        while (true)
        {
            TaskCompletionSource consoleEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
            Task<DomainOutcome> outcome = WaitForEndAsync(environment, xend, current.Id, consoleEnded.Task, cancellationToken);
            Task<bool> console = ConsoleSession.AttachAsync(environment, current.ConsoleSocket, outcome, endOfInput, cancellationToken);
            _ = console.ContinueWith(_ => consoleEnded.TrySetResult(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            if (unpause)
            {
                await UnpauseAsync(xend, current, outcome, cancellationToken);
            }

            if (await console)
            {
                await environment.Error.WriteLineAsync($"\r\nDetached. 'xm console {current.Name}' attaches again.");
                return ExitCodes.Success;
            }

            DomainOutcome end = await outcome;
            if (end.End != DomainEnd.Poweroff || end.Detail is not null)
            {
                await environment.Error.WriteLineAsync($"Domain {end.Name} (id={end.Id}): {OutcomeText.Of(end)}");
            }

            if (end.Successor is not { } successor)
            {
                return ExitCodes.Of(end.End);
            }

            current = successor;
            unpause = false;
        }
    }

    /// <summary>
    /// Waits for the domain's end, also past an end of xend: the domain and its console go on without one. A new xend is waited for, and
    /// started only when the console has ended and somebody must say why.
    /// </summary>
    private static async Task<DomainOutcome> WaitForEndAsync(
        XmEnvironment environment, XendClient first, int id, Task consoleEnded, CancellationToken cancellationToken)
    {
        XendClient? replacement = null;
        try
        {
            while (true)
            {
                try
                {
                    return await (replacement ?? first).WaitForEndAsync(id, cancellationToken);
                }
                catch (XendFailureException e) when (e.Failure.Code == DomainFailureCode.HostResource)
                {
                    while (!consoleEnded.IsCompleted && !await XendStarter.IsServingAsync(environment.Paths.XendSocket, cancellationToken))
                    {
                        await Task.WhenAny(consoleEnded, Task.Delay(TimeSpan.FromMilliseconds(250), cancellationToken));
                        cancellationToken.ThrowIfCancellationRequested();
                    }

                    replacement?.Dispose();
                    replacement = await environment.ConnectAsync(cancellationToken);
                }
            }
        }
        finally
        {
            replacement?.Dispose();
        }
    }

    private static async Task UnpauseAsync(XendClient xend, CreatedDomain domain, Task outcome, CancellationToken cancellationToken)
    {
        try
        {
            await xend.UnpauseAsync(domain.Id.ToString(CultureInfo.InvariantCulture), cancellationToken);
        }
        catch (XendFailureException e) when (e.Failure.Code is DomainFailureCode.NoSuchDomain or DomainFailureCode.WrongState
            or DomainFailureCode.DomainProcessLost)
        {
            // It ended meanwhile; the outcome has the reason.
            await outcome;
        }
    }
}
