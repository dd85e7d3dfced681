using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Migration;
using Shinano.Control.Daemon.Scheduling;
using Shinano.Control.Daemon.Snapshots;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Domains;

/// <summary>Takes over, at xend's start, what an earlier xend left: running domains, dead ones, and halves.</summary>
internal sealed class DomainAdoption(
    ShinanoPaths paths, DomainRegistry registry, DomainStarter starter, DomainLifecycle lifecycle, DomainTree tree, SchedulingOperations scheduling, SnapshotReverts snapshots,
    Arrivals arrivals, HandOvers handOvers, TransferJournal journal, ILogger<DomainAdoption> logger)
{
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        List<DomainEntry> dead = [];
        List<DomainEntry> handedOver = [];
        foreach (int id in DomainDirectory.Existing(paths))
        {
            DomainDirectory directory = new(paths, id);
            if (directory.ReadRecord() is { } record && record.Spec.DomainId == id)
            {
                DomainEntry entry = new(record, directory);
                registry.Add(entry);
                if (record.Phase == DomainPhase.Starting && record.Arriving is { } transfer && journal.IsTaken(transfer))
                {
                    // The last xend had taken it, and did not get to let it run.
                    entry.Update(found => found with { Phase = DomainPhase.Live });
                }

                if (entry.Record.Phase == DomainPhase.Starting)
                {
                    await DiscardAsync(entry, cancellationToken);
                }
                else if (!await AdoptAsync(entry, cancellationToken))
                {
                    dead.Add(entry);
                }

                if (record.HandedOver is not null)
                {
                    handedOver.Add(entry);
                }
            }
            else
            {
                await DiscardUnrecordedAsync(directory, cancellationToken);
            }
        }

        RemoveOrphanNodes();
        tree.WriteDomainZero();
        await snapshots.RecoverAsync();

        // Only now: a restart takes a new id and writes nodes.
        foreach (DomainEntry entry in dead)
        {
            await lifecycle.HandleDeathAsync(entry);
        }

        handedOver.ForEach(handOvers.Begin);
    }

    private async Task<bool> AdoptAsync(DomainEntry entry, CancellationToken cancellationToken)
    {
        DomainRecord record = entry.Record;
        if (record.Phase == DomainPhase.Kept)
        {
            entry.Ended = true;
            entry.Outcome.TrySetResult(record.Outcome ?? new DomainOutcome
            {
                Id = entry.Id,
                Name = record.Name,
                Uuid = record.Uuid,
                End = DomainEnd.Crash,
                Action = "preserve",
            });
        }

        if (!entry.ProcessIsAlive)
        {
            return entry.Ended;
        }

        try
        {
            DomainConnection connection = await DomainConnection.OpenAsync(record.Spec.ControlSocketPath, cancellationToken);
            entry.Connection = connection;
            DomainHello hello = await connection.CallAsync((domain, token) => domain.HelloAsync(token), DomainEntry.QuickCall, cancellationToken);
            if (hello.Uuid != record.Spec.Uuid || hello.ProtocolVersion != DomainControlChannel.ProtocolVersion)
            {
                logger.LogError("process {Process} is not domain {Id}, or of another version", hello.ProcessId, entry.Id);
                throw new DomainFailureException(DomainFailureCode.DomainProcessLost, "another domain answers");
            }
        }
        catch (Exception e) when (e is SocketException or DomainFailureException)
        {
            logger.LogError("domain {Id} '{Name}' does not answer and is ended: {Message}", entry.Id, record.Name, e.Message);
            await DomainProgram.EndAsync(record.Process!, null, cancellationToken);
            entry.Connection?.Dispose();
            entry.Connection = null;
            return entry.Ended;
        }

        (DomainStatus? status, _) = await entry.GetStatusAsync(cancellationToken);
        if (status?.Build is { } build && tree.ReadUuid(entry.Id) is null)
        {
            logger.LogWarning("the nodes of domain {Id} '{Name}' were lost and are written again", entry.Id, record.Name);
            tree.Write(record, build);
        }

        tree.BindRelay(record);
        if (!entry.Ended && record.HandedOver is null)
        {
            // The last xend may have ended while it saved or copied the domain, or sent it elsewhere: it goes on as it was.
            await handOvers.ReturnAsync(entry, suspended: true);
            await scheduling.ApplyAsync(entry, cancellationToken);
        }

        logger.LogInformation("domain {Id} '{Name}' is adopted from process {Process}", entry.Id, record.Name, record.Process!.Id);
        if (!entry.Ended)
        {
            if (record.Arriving is not null)
            {
                await arrivals.RunAsync(entry);
            }
            else
            {
                lifecycle.Watch(entry);
            }

            if (status?.ShutdownReason is { } reason)
            {
                // It ended while nobody was there.
                _ = lifecycle.HandleShutdownAsync(entry, reason);
            }
        }

        return true;
    }

    private async Task DiscardAsync(DomainEntry entry, CancellationToken cancellationToken)
    {
        logger.LogWarning("domain {Id} '{Name}' was being built when xend ended; it is removed", entry.Id, entry.Record.Name);
        entry.Ended = true;
        if (entry.Record.Process is null)
        {
            // Started, maybe, but not written down: its socket leads to it.
            await EndListenerAsync(entry.Directory, cancellationToken);
        }

        await starter.UndoAsync(entry);
    }

    private async Task DiscardUnrecordedAsync(DomainDirectory directory, CancellationToken cancellationToken)
    {
        logger.LogWarning("{Path} has no record and is removed", directory.Path);
        await EndListenerAsync(directory, cancellationToken);
        directory.Delete();
    }

    private static async Task EndListenerAsync(DomainDirectory directory, CancellationToken cancellationToken)
    {
        try
        {
            using DomainConnection connection = await DomainConnection.OpenAsync(directory.ControlSocket, cancellationToken);
            await connection.CallAsync((domain, token) => domain.DestroyAsync(token), DomainEntry.QuickCall, cancellationToken);
        }
        catch (Exception e) when (e is SocketException or DomainFailureException)
        {
            // Nobody there, or nobody who understands: nothing that could be ended safely.
        }
    }

    /// <summary>Nodes of domains that ended with an earlier xend.</summary>
    private void RemoveOrphanNodes()
    {
        foreach (int id in tree.List())
        {
            if (registry.TryFind(id.ToString(System.Globalization.CultureInfo.InvariantCulture)) is null)
            {
                Guid? uuid = tree.ReadUuid(id);

                // A restarted domain has the uuid of its predecessor, and the same /vm node.
                bool shared = uuid is { } value && registry.All.Any(entry => entry.Record.Uuid == value);
                tree.Remove(id, shared ? null : uuid);
            }
        }
    }
}
