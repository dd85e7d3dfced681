using Shinano.Control.Daemon.Domains;

namespace Shinano.Control.Daemon.Saving;

/// <summary>A domain that is kept still while it is written down.</summary>
internal static class StillDomain
{
    /// <summary>Input and output of the guest that are under way have to end.</summary>
    private static readonly TimeSpan SuspendPatience = TimeSpan.FromMinutes(1);

    /// <summary>Suspends a domain, whose gate is held, and has something done meanwhile. After a failure it goes on as it was.</summary>
    /// <param name="work">Returns whether the domain goes on; it has ended it otherwise.</param>
    /// <param name="cancellationToken">Of the suspension: half a save helps nobody, so that the work goes on when the client does not wait.</param>
    public static async Task WhileAsync(DomainEntry entry, Func<DomainConnection, Task<bool>> work, CancellationToken cancellationToken)
    {
        DomainConnection connection = entry.RequireConnection();
        await connection.CallAsync((process, token) => process.SuspendAsync(token), SuspendPatience, cancellationToken);
        bool goesOn = true;
        try
        {
            goesOn = await work(connection);
        }
        finally
        {
            if (goesOn)
            {
                await connection.CallAsync((process, token) => process.ResumeAsync(token), DomainEntry.QuickCall, CancellationToken.None);
            }
        }
    }
}
