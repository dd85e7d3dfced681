using System.Collections.Concurrent;
using Shinano.Control.Api.Domains;
using Shinano.Control.Daemon.Domains;
using Shinano.Control.Daemon.Saving;
using Shinano.SavedState;

namespace Shinano.Control.Daemon.Migration;

/// <summary>The target's side of migrations: builds what comes, paused, and takes it when the source says so. See docs/design/migration.md.</summary>
internal sealed class Arrivals(
    DomainStarter starter, DomainLifecycle lifecycle, TransferJournal journal, ILogger<Arrivals> logger)
{
    private readonly ConcurrentDictionary<Guid, Arrival> _arrivals = [];

    /// <summary>Serves a connection to its end, and closes it.</summary>
    public async Task ServeAsync(MigrationPeer peer)
    {
        using (peer)
        {
            try
            {
                (SectionKind Kind, byte[] Payload) first = await peer.ReceiveAsync(MigrationPeer.Patience);
                if (first.Kind == SectionKind.Ask)
                {
                    Guid transfer = peer.Read<MigrationQuestion>(first, SectionKind.Ask).Transfer;
                    peer.Say(SectionKind.Told, new MigrationAnswer(await FindOutAsync(transfer)));
                    return;
                }

                await ReceiveAsync(peer, peer.Read<MigrationOffer>(first, SectionKind.Offer));
            }
            catch (Exception e) when (e is DomainFailureException or IOException or UnauthorizedAccessException)
            {
                logger.LogWarning("no domain came from {From}: {Message}", peer.Name, e.Message);
                await peer.RefuseAsync((e as DomainFailureException)?.Failure ?? new DomainFailure(DomainFailureCode.HostResource, e.Message));
            }
        }
    }

    /// <summary>Whether a transfer was taken. One that waits for its source's word is dropped first, so that the answer stays true.</summary>
    private async Task<bool> FindOutAsync(Guid transfer)
    {
        if (_arrivals.TryGetValue(transfer, out Arrival? arrival) && arrival.TryDrop(disconnect: true))
        {
            await arrival.Over;
        }

        return journal.IsTaken(transfer);
    }

    private async Task ReceiveAsync(MigrationPeer peer, MigrationOffer offer)
    {
        Arrival arrival = new(offer.Transfer, peer);
        if (journal.IsTaken(offer.Transfer) || !_arrivals.TryAdd(offer.Transfer, arrival))
        {
            throw MigrationPeer.Senseless("a transfer is offered a second time");
        }

        try
        {
            (SectionKind Kind, byte[] Payload) section = await peer.ReceiveAsync(MigrationPeer.Patience);
            peer.Demand(section, SectionKind.Description);
            SavedDescription offered = Describe(section.Payload);
            ArrivingState feed = new(peer, offered);
            using (feed)
            {
                DomainEntry entry = await starter.ReceiveAsync(offered, offer.Transfer, feed, CancellationToken.None);
                await FinishAsync(peer, arrival, entry);
            }
        }
        finally
        {
            _arrivals.TryRemove(offer.Transfer, out _);
            arrival.SetOver();
        }
    }

    /// <summary>The domain is whole: waits for the source's word.</summary>
    private async Task FinishAsync(MigrationPeer peer, Arrival arrival, DomainEntry entry)
    {
        try
        {
            FaultPoint.Reach("target-ready");
            peer.Send(SectionKind.Ready, []);
            peer.Demand(await peer.ReceiveAsync(MigrationPeer.Patience), SectionKind.Go);
            FaultPoint.Reach("target-told");
            await entry.RequireConnection().CallAsync((process, token) => process.KeepAsync(token), DomainEntry.QuickCall, CancellationToken.None);
            FaultPoint.Reach("target-keeps");
            arrival.Take(() => journal.Take(arrival.Transfer));
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // From here on it cannot be taken any more, and may be gone.
            arrival.TryDrop(disconnect: false);
            await starter.DiscardAsync(entry);
            throw;
        }

        FaultPoint.Reach("target-taken");
        await RunAsync(entry);
        FaultPoint.Reach("target-runs");
        logger.LogInformation("domain {Id} '{Name}' has come from {From}", entry.Id, entry.Record.Name, peer.Name);
        peer.Say(SectionKind.Done, new MigrationAcceptance(entry.Id));
    }

    /// <summary>Lets a domain run that was taken; also what an earlier xend took and did not get to.</summary>
    public async Task RunAsync(DomainEntry entry)
    {
        entry.Update(record => record with { Phase = DomainPhase.Live });
        try
        {
            await lifecycle.RunAsync(entry, CancellationToken.None);
        }
        catch (DomainFailureException e)
        {
            // Its process has died: an end as any other, and handled as one.
            logger.LogError("domain {Id} '{Name}' came and does not run: {Message}", entry.Id, entry.Record.Name, e.Message);
        }

        if (!entry.Ended)
        {
            entry.Update(record => record with { Arriving = null });
        }
    }

    private static SavedDescription Describe(byte[] payload)
    {
        try
        {
            return SavedDescription.Read(payload);
        }
        catch (SavedStateException e)
        {
            throw SavedFailure.OfStream(e);
        }
    }
}
