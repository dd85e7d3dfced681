using Shinano.Control.Api.Domains;

namespace Shinano.Control.Daemon.Snapshots;

/// <summary>Removes what is to go of snapshots: those that are deleted, and those that were begun and not finished.</summary>
internal sealed class SnapshotRemoval(SnapshotVolumes volumes, ILogger<SnapshotRemoval> logger)
{
    /// <summary>Removes all parts of a snapshot that is out of the list. What it stops at is gone on with at the next time.</summary>
    /// <exception cref="DomainFailureException">A pool refuses.</exception>
    public async Task RemoveAsync(SnapshotFolder folder, SnapshotDescription description)
    {
        await volumes.RemoveAsync(description);
        foreach (string name in folder.Names)
        {
            Adopt(folder, name, description);
        }

        SnapshotPosition position = folder.ReadPosition();
        if (position.Current == description.Name)
        {
            folder.WritePosition(position with { Current = description.Parent });
        }

        folder.Remove(description.Name);
    }

    /// <summary>The same for who has a failure to report already.</summary>
    public async Task TryRemoveAsync(SnapshotFolder folder, SnapshotDescription description)
    {
        try
        {
            await RemoveAsync(folder, description);
        }
        catch (Exception e) when (e is DomainFailureException or IOException or UnauthorizedAccessException)
        {
            logger.LogError("what there is of snapshot '{Name}' of domain {Uuid} could not be removed yet: {Message}", description.Name, folder.Uuid, e.Message);
        }
    }

    /// <summary>Removes what a daemon that ended, or a pool that refused, has left.</summary>
    public async Task TidyAsync(SnapshotFolder folder)
    {
        folder.RemoveStrayMemory();
        foreach (string name in folder.Partials)
        {
            try
            {
                await TryRemoveAsync(folder, folder.ReadPartial(name));
            }
            catch (DomainFailureException e)
            {
                logger.LogError("the record of what there is of snapshot '{Name}' of domain {Uuid} is removed: {Message}", name, folder.Uuid, e.Message);
                folder.Remove(name);
            }
        }
    }

    /// <summary>A snapshot that comes from one that goes comes from that one's parent.</summary>
    private static void Adopt(SnapshotFolder folder, string name, SnapshotDescription gone)
    {
        try
        {
            SnapshotDescription child = folder.Read(name);
            if (child.Parent == gone.Name)
            {
                folder.Change(child with { Parent = gone.Parent });
            }
        }
        catch (DomainFailureException)
        {
            // A damaged one comes from nowhere.
        }
    }
}
