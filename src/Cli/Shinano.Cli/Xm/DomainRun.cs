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
            Task<DomainOutcome> outcome = xend.WaitForEndAsync(current.Id, cancellationToken);
            Task<bool> console = ConsoleSession.AttachAsync(environment, current.ConsoleSocket, outcome, endOfInput, cancellationToken);
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
