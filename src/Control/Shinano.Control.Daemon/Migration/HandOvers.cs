using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Domains;
using Shinano.SavedState;

namespace Shinano.Control.Daemon.Migration;

/// <summary>Domains that were handed over, until it is known what became of them; and the way back of those that stay.</summary>
internal sealed class HandOvers(
    DomainRegistry registry, DomainStarter starter, DomainLifecycle lifecycle, MigrationDialler dialler, ILogger<HandOvers> logger)
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(30);

    /// <summary>An image's lock may take a while to come back.</summary>
    private static readonly TimeSpan ResumePatience = TimeSpan.FromMinutes(1);

    /// <summary>Asks the target what became of a domain, until there is an answer or the domain is gone; at once, and then ever less often.</summary>
    public void Begin(DomainEntry entry) => _ = Task.Run(async () =>
    {
        for (TimeSpan wait = TimeSpan.FromMilliseconds(200); !entry.Ended && entry.Record.HandedOver is not null; wait = wait * 2 < LongestWait ? wait * 2 : LongestWait)
        {
            try
            {
                await AskAsync(entry, CancellationToken.None);
                return;
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                logger.LogWarning("domain {Id} '{Name}': what became of it is not known: {Message}", entry.Id, entry.Record.Name, e.Message);
                await Task.Delay(wait);
            }
        }
    });

    /// <summary><c>xm migrate-resolve</c>.</summary>
    /// <exception cref="DomainFailureException">It was not handed over, or the target does not answer.</exception>
    public async Task ResolveAsync(string domain, MigrationDecision decision, CancellationToken cancellationToken)
    {
        DomainEntry entry = registry.Find(domain);
        if (entry.Record.HandedOver is null)
        {
            throw new DomainFailureException(DomainFailureCode.WrongState, $"domain '{entry.Record.Name}' was not handed over to anybody");
        }

        switch (decision)
        {
            case MigrationDecision.Resume:
                await DecideAsync(entry, isTaken: false);
                break;
            case MigrationDecision.Destroy:
                await DecideAsync(entry, isTaken: true);
                break;
            default:
                await AskAsync(entry, cancellationToken);
                break;
        }
    }

    /// <summary>The domain stays: it is taken up again, if it still has a process; also one that was not suspended is told that it does not leave.</summary>
    /// <param name="suspended">It does not run before this succeeds, which is tried until it does.</param>
    public async Task ReturnAsync(DomainEntry entry, bool suspended)
    {
        try
        {
            await ResumeAsync(entry);
        }
        catch (DomainFailureException e) when (suspended)
        {
            logger.LogError("domain {Id} '{Name}' stays and is not taken up: {Message}", entry.Id, entry.Record.Name, e.Message);
            _ = Task.Run(() => RetryAsync(entry));
        }
        catch (DomainFailureException e)
        {
            logger.LogWarning("domain {Id} '{Name}': {Message}", entry.Id, entry.Record.Name, e.Message);
        }
    }

    /// <summary>The domain runs at the target: its copy goes. The gate is the caller's.</summary>
    public async Task EndAsync(DomainEntry entry)
    {
        if (entry.Ended)
        {
            return;
        }

        string target = entry.Record.HandedOver?.Target.ToString() ?? "elsewhere";
        entry.Ended = true;
        await starter.UndoAsync(entry);
        logger.LogInformation("domain {Id} '{Name}' has gone to {Target}", entry.Id, entry.Record.Name, target);
        entry.Outcome.TrySetResult(new DomainOutcome
        {
            Id = entry.Id,
            Name = entry.Record.Name,
            Uuid = entry.Record.Uuid,
            End = DomainEnd.Suspend,
            Action = "migrate",
            Detail = $"gone to {target}",
        });
    }

    private static Task ResumeAsync(DomainEntry entry) => entry.Connection is { } connection
        ? connection.CallAsync((process, token) => process.ResumeAsync(token), ResumePatience, CancellationToken.None)
        : Task.CompletedTask;

    private async Task AskAsync(DomainEntry entry, CancellationToken cancellationToken)
    {
        HandOver handOver = entry.Record.HandedOver!;
        using MigrationPeer peer = await dialler.ConnectAsync(handOver.Target, cancellationToken);
        peer.Say(SectionKind.Ask, new MigrationQuestion(handOver.Transfer));
        MigrationAnswer answer = peer.Read<MigrationAnswer>(await peer.ReceiveAsync(MigrationPeer.Patience), SectionKind.Told);
        await DecideAsync(entry, answer.Taken);
    }

    private async Task DecideAsync(DomainEntry entry, bool isTaken)
    {
        bool isDead;
        await entry.Gate.WaitAsync();
        try
        {
            if (entry.Ended || entry.Record.HandedOver is not { } handOver)
            {
                return;
            }

            if (isTaken)
            {
                await EndAsync(entry);
                return;
            }

            logger.LogWarning("domain {Id} '{Name}' was not taken by {Target} and goes on here", entry.Id, entry.Record.Name, handOver.Target);
            entry.UpdateDurably(record => record with { HandedOver = null });
            isDead = !entry.ProcessIsAlive;
            if (!isDead)
            {
                await ReturnAsync(entry, suspended: true);
            }
        }
        finally
        {
            entry.Gate.Release();
        }

        if (isDead)
        {
            await lifecycle.HandleDeathAsync(entry);
        }
    }

    private async Task RetryAsync(DomainEntry entry)
    {
        while (!entry.Ended && entry.Record.HandedOver is null && entry.ProcessIsAlive)
        {
            try
            {
                await ResumeAsync(entry);
                return;
            }
            catch (DomainFailureException e)
            {
                logger.LogError("domain {Id} '{Name}' is still not taken up: {Message}", entry.Id, entry.Record.Name, e.Message);
                await Task.Delay(TimeSpan.FromSeconds(1));
            }
        }
    }
}
