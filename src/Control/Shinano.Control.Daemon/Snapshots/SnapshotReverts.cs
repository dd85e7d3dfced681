using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Devices;
using Shinano.Control.Daemon.Domains;
using Shinano.Control.Daemon.Saving;

namespace Shinano.Control.Daemon.Snapshots;

/// <summary><c>xm snapshot-revert</c>.</summary>
internal sealed class SnapshotReverts(
    SnapshotFolders folders, SnapshotVolumes volumes, SnapshotRemoval removal, DomainRegistry registry, DomainStarter starter, DomainDevices devices,
    ILogger<SnapshotReverts> logger)
{
    /// <summary>
    /// Makes a domain what it was at a snapshot: the one that runs is ended, the volumes are reverted, the memory is restored. Everything is verified before; what the
    /// domain did since the snapshot that it comes from is lost. The caller has it watched and lets it run.
    /// </summary>
    /// <returns>The domain, paused, and whether it was paused when the snapshot was taken.</returns>
    /// <exception cref="DomainFailureException">
    /// The snapshot is refused, and nothing has changed; or it could not be finished, and can be repeated.
    /// </exception>
    public async Task<(DomainEntry Entry, bool WasPaused)> RevertAsync(
        string domain, string name, Action<BuildProgress>? progress, CancellationToken cancellationToken)
    {
        SnapshotFolder folder = folders.Find(domain, name);
        using IDisposable turn = await folders.LockAsync(folder.Uuid, cancellationToken);
        SnapshotDescription description = folder.Read(name);
        string file = folder.MemoryOf(name);
        SavedDescription saved = await Task.Run(() => SavedDescription.ReadFile(file), cancellationToken);
        if (saved.Snapshot != description.Id || saved.Uuid != description.Uuid)
        {
            throw new DomainFailureException(DomainFailureCode.SnapshotSenseless, $"{file} is not the memory of snapshot '{name}'");
        }

        progress?.Invoke(new BuildProgress("file", $"{file}: '{saved.Name}', saved at {saved.SavedAt:u}", 0));
        volumes.DemandWhole(description);
        DomainEntry? present = registry.TryFind(folder.Uuid.ToString("D"));
        if (present is null)
        {
            registry.DemandFree(saved.Name, saved.Uuid);
        }
        else
        {
            // It may have another name by now.
            saved = saved with { Name = present.Record.Name };
        }

        volumes.DemandIdle(description, present?.Record.Process?.Id);
        await devices.PlansOfAsync(saved.Configuration, cancellationToken);

        // Half a revert helps nobody: from here on it goes on when the client does not wait.
        folder.WritePosition(folder.ReadPosition() with { Reverting = name, EndingId = present?.Id });
        if (present is not null)
        {
            await EndAsync(present);
        }

        DomainEntry entry;
        try
        {
            await RevertVolumesAsync(folder, description);
            entry = await starter.RestoreAsync(saved, file, progress, CancellationToken.None);
        }
        catch (DomainFailureException e)
        {
            present?.Outcome.TrySetResult(OutcomeOf(present, name) with { Detail = $"could not be restored: {e.Message}" });
            throw;
        }

        logger.LogInformation("domain {Id} '{Name}' is reverted to snapshot '{Snapshot}'", entry.Id, entry.Record.Name, name);
        present?.Outcome.TrySetResult(OutcomeOf(present, name) with
        {
            Successor = new CreatedDomain(entry.Id, entry.Record.Name, entry.Record.Uuid, entry.Directory.ConsoleSocket),
        });
        return (entry, description.Paused);
    }

    /// <summary>
    /// Finishes, at xend's start, what an earlier one was at: snapshots that were begun or half deleted go, volumes that were being reverted are reverted. Running domains are
    /// adopted already.
    /// </summary>
    public async Task RecoverAsync()
    {
        foreach (SnapshotFolder folder in folders.All)
        {
            await removal.TidyAsync(folder);
            SnapshotPosition position = folder.ReadPosition();
            if (position.Reverting is { } name)
            {
                await RecoverAsync(folder, position, name);
            }
        }
    }

    private async Task RecoverAsync(SnapshotFolder folder, SnapshotPosition position, string name)
    {
        try
        {
            if (registry.TryFind(folder.Uuid.ToString("D")) is { ProcessIsAlive: true } entry && entry.Id == position.EndingId)
            {
                // It was not ended, so nothing was reverted.
                folder.WritePosition(position with { Reverting = null, EndingId = null });
                return;
            }

            await RevertVolumesAsync(folder, folder.Read(name));
            logger.LogWarning("the volumes of domain {Uuid} are reverted to snapshot '{Name}': 'xm snapshot-revert' restores its memory, too", folder.Uuid, name);
        }
        catch (Exception e) when (e is DomainFailureException or IOException or UnauthorizedAccessException)
        {
            logger.LogError("the volumes of domain {Uuid} are not all reverted to snapshot '{Name}': {Message}", folder.Uuid, name, e.Message);
        }
    }

    /// <summary>Once: what a failure leaves is for a person to look at, and is not tried again behind the back of a domain that was started meanwhile.</summary>
    private async Task RevertVolumesAsync(SnapshotFolder folder, SnapshotDescription description)
    {
        string? current = folder.ReadPosition().Current;
        try
        {
            await volumes.RevertAsync(description);
            current = description.Name;
        }
        finally
        {
            folder.WritePosition(new SnapshotPosition { Current = current });
        }
    }

    private async Task EndAsync(DomainEntry present)
    {
        await present.Gate.WaitAsync();
        try
        {
            present.Ended = true;
            await starter.UndoAsync(present);
        }
        finally
        {
            present.Gate.Release();
        }
    }

    private static DomainOutcome OutcomeOf(DomainEntry ended, string snapshot) => new()
    {
        Id = ended.Id,
        Name = ended.Record.Name,
        Uuid = ended.Record.Uuid,
        End = DomainEnd.Destroyed,
        Action = $"reverted to snapshot '{snapshot}'",
    };
}
