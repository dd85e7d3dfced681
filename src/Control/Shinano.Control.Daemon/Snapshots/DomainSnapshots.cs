using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Devices;
using Shinano.Control.Daemon.Domains;
using Shinano.Control.Daemon.Saving;

namespace Shinano.Control.Daemon.Snapshots;

/// <summary><c>xm snapshot-create</c>, <c>-list</c> and <c>-delete</c>: snapshots of domains, memory and disks together.</summary>
internal sealed class DomainSnapshots(
    SnapshotFolders folders, SnapshotVolumes volumes, SnapshotRemoval removal, DomainOperations operations, DomainSaves saves, DiskOperations disks, TimeProvider clock,
    ILogger<DomainSnapshots> logger)
{
    /// <summary>Takes a snapshot of a running domain, which goes on. After a failure there is no part of one.</summary>
    /// <exception cref="DomainFailureException">It was not taken.</exception>
    public async Task<DomainSnapshotInfo> CreateAsync(string domain, DomainSnapshotRequest request, CancellationToken cancellationToken)
    {
        DomainEntry entry = operations.FindRunning(domain);
        SnapshotFolder folder = folders.Of(entry.Record.Uuid);
        using IDisposable turn = await folders.LockAsync(folder.Uuid, cancellationToken);
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            operations.FindRunning(domain);
            await removal.TidyAsync(folder);
            SnapshotDescription description = await PlanAsync(entry, folder, request.Name, cancellationToken);
            return Describe(await TakeAsync(entry, folder, description, cancellationToken), folder.ReadPosition());
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>A domain's snapshots, the oldest first; damaged ones say so and come last.</summary>
    /// <exception cref="DomainFailureException">There is no such domain.</exception>
    public IReadOnlyList<DomainSnapshotInfo> List(string domain)
    {
        SnapshotFolder folder = folders.Find(domain);
        SnapshotPosition position = folder.ReadPosition();
        return [.. folder.Names.Select(name => TryDescribe(folder, name, position)).OrderBy(info => info.Taken ?? DateTimeOffset.MaxValue)];
    }

    /// <summary>Deletes a snapshot; the domain, and snapshots that come from it, keep what they have.</summary>
    /// <param name="metadata">Leave the volumes' snapshots where they are: the way to be rid of a record that is damaged.</param>
    /// <exception cref="DomainFailureException">It is refused; nothing has changed.</exception>
    public async Task DeleteAsync(string domain, string name, bool metadata, CancellationToken cancellationToken)
    {
        SnapshotFolder folder = folders.Find(domain, name);
        using IDisposable turn = await folders.LockAsync(folder.Uuid, cancellationToken);
        if (metadata)
        {
            folder.Forget(name);
        }
        else
        {
            SnapshotDescription description = folder.Read(name);
            volumes.DemandNoClones(description);
            folder.Retract(name);
            await removal.RemoveAsync(folder, description);
        }

        logger.LogInformation("snapshot '{Name}' of domain {Uuid} is deleted", name, folder.Uuid);
    }

    private async Task<SnapshotDescription> PlanAsync(DomainEntry entry, SnapshotFolder folder, string? wanted, CancellationToken cancellationToken)
    {
        DateTimeOffset now = clock.GetUtcNow();
        string name = wanted ?? now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        if (SnapshotName.Check(name) is { } problem)
        {
            throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"'{name}': {problem}");
        }

        if (folder.Has(name))
        {
            throw new DomainFailureException(DomainFailureCode.Duplicate, $"domain '{entry.Record.Name}' has a snapshot '{name}' already");
        }

        (DomainStatus? status, _) = await entry.GetStatusAsync(cancellationToken);
        return new SnapshotDescription
        {
            Id = Guid.NewGuid(),
            Name = name,
            Domain = entry.Record.Name,
            Uuid = entry.Record.Uuid,
            Taken = now,
            Parent = folder.ReadPosition().Current,
            Paused = status?.State.HasFlag(DomainStates.Paused) ?? false,
            Volumes = volumes.Plan(entry.Record.Configuration, name),
        };
    }

    private async Task<SnapshotDescription> TakeAsync(DomainEntry entry, SnapshotFolder folder, SnapshotDescription description, CancellationToken cancellationToken)
    {
        bool isCommitted = false;
        folder.Begin(description);
        try
        {
            await StillDomain.WhileAsync(
                entry,
                async connection =>
                {
                    SaveResult memory = await saves.WriteAsync(entry, connection, folder.MemoryOf(description.Name), description.Id);
                    foreach (SnapshotVolume volume in description.Volumes)
                    {
                        await disks.SnapshotAsync(
                            entry,
                            entry.Record.Configuration.Disks.First(disk => disk.Volume == volume.Volume),
                            description.PartOf(volume).ToString(),
                            volume.Guid,
                            CancellationToken.None);
                    }

                    description = description with { MemoryBytes = memory.Bytes };
                    folder.Commit(description);
                    isCommitted = true;
                    folder.WritePosition(new SnapshotPosition { Current = description.Name });
                    return true;
                },
                cancellationToken);
        }
        catch when (!isCommitted)
        {
            await removal.TryRemoveAsync(folder, description);
            throw;
        }

        logger.LogInformation("domain {Id} '{Name}': snapshot '{Snapshot}' is taken", entry.Id, entry.Record.Name, description.Name);
        return description;
    }

    private static DomainSnapshotInfo TryDescribe(SnapshotFolder folder, string name, SnapshotPosition position)
    {
        try
        {
            return Describe(folder.Read(name), position);
        }
        catch (DomainFailureException e)
        {
            return new DomainSnapshotInfo { Name = name, Problem = e.Failure };
        }
    }

    private static DomainSnapshotInfo Describe(SnapshotDescription description, SnapshotPosition position) => new()
    {
        Name = description.Name,
        Parent = description.Parent,
        Current = position.Current == description.Name,
        Taken = description.Taken,
        Paused = description.Paused,
        MemoryBytes = description.MemoryBytes,
        Volumes = [.. description.Volumes.Select(volume => description.PartOf(volume).ToString())],
    };
}
