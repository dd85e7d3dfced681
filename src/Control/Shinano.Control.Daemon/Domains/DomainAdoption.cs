using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Scheduling;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Domains;

/// <summary>Takes over, at xend's start, what an earlier xend left: running domains, dead ones, and halves.</summary>
internal sealed class DomainAdoption(
    ShinanoPaths paths, DomainRegistry registry, DomainStarter starter, DomainLifecycle lifecycle, DomainTree tree,
    SchedulingOperations scheduling, ILogger<DomainAdoption> logger)
{
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        List<DomainEntry> dead = [];
        foreach (int id in DomainDirectory.Existing(paths))
        {
            DomainDirectory directory = new(paths, id);
            if (directory.ReadRecord() is { } record && record.Spec.DomainId == id)
            {
                DomainEntry entry = new(record, directory);
                registry.Add(entry);
                if (record.Phase == DomainPhase.Starting)
                {
                    await DiscardAsync(entry, cancellationToken);
                }
                else if (!await AdoptAsync(entry, cancellationToken))
                {
                    dead.Add(entry);
                }
            }
            else
            {
                await DiscardUnrecordedAsync(directory, cancellationToken);
            }
        }

        RemoveOrphanNodes();
        tree.WriteDomainZero();

        // Only now: a restart takes a new id and writes nodes.
        foreach (DomainEntry entry in dead)
        {
            await lifecycle.HandleDeathAsync(entry);
        }
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
        if (!entry.Ended)
        {
            await ResumeAsync(entry, cancellationToken);
            await scheduling.ApplyAsync(entry, cancellationToken);
        }

        logger.LogInformation("domain {Id} '{Name}' is adopted from process {Process}", entry.Id, record.Name, record.Process!.Id);
        if (!entry.Ended)
        {
            lifecycle.Watch(entry);
            if (status?.ShutdownReason is { } reason)
            {
                // It ended while nobody was there.
                _ = lifecycle.HandleShutdownAsync(entry, reason);
            }
        }

        return true;
    }

    /// <summary>The last xend may have ended while it saved the domain: it goes on as it was.</summary>
    private async Task ResumeAsync(DomainEntry entry, CancellationToken cancellationToken)
    {
        try
        {
            await entry.RequireConnection().CallAsync((domain, token) => domain.ResumeAsync(token), DomainEntry.QuickCall, cancellationToken);
        }
        catch (DomainFailureException e)
        {
            logger.LogWarning("domain {Id} '{Name}' was not resumed: {Message}", entry.Id, entry.Record.Name, e.Message);
        }
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
