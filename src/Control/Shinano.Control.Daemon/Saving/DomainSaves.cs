using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Domains;
using Shinano.SavedState;

namespace Shinano.Control.Daemon.Saving;

/// <summary><c>xm save</c> and <c>xm restore</c>.</summary>
internal sealed class DomainSaves(DomainOperations operations, DomainStarter starter, StoreSnapshot store, TimeProvider clock, ILogger<DomainSaves> logger)
{
    /// <summary>All of a domain's memory goes to a disk that may be slow.</summary>
    private static readonly TimeSpan WritePatience = TimeSpan.FromHours(2);

    /// <summary>Saves a domain, which is gone afterwards unless it is left. After a failure it goes on as it was, and no file is left.</summary>
    /// <exception cref="DomainFailureException">It was not saved.</exception>
    public async Task<SaveResult> SaveAsync(string domain, SaveRequest request, CancellationToken cancellationToken)
    {
        DomainEntry entry = operations.FindRunning(domain);
        string path = Path.GetFullPath(request.Path);
        DemandReplaceable(path);
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            operations.FindRunning(domain);
            SaveResult? result = null;
            await StillDomain.WhileAsync(
                entry,
                async connection =>
                {
                    result = await WriteAsync(entry, connection, path, snapshot: null);
                    logger.LogInformation("domain {Id} '{Name}' is saved to {Path}", entry.Id, entry.Record.Name, path);
                    if (request.LeavePaused)
                    {
                        await connection.CallAsync((process, token) => process.PauseAsync(token), DomainEntry.QuickCall, CancellationToken.None);
                    }

                    if (request.LeaveRunning || request.LeavePaused)
                    {
                        return true;
                    }

                    await EndAsync(entry, path);
                    return false;
                },
                cancellationToken);
            return result!;
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>Writes a suspended domain to a file.</summary>
    /// <param name="snapshot">The snapshot that it is the memory of; null for none.</param>
    /// <exception cref="DomainFailureException">It was not written; the domain is still suspended.</exception>
    public async Task<SaveResult> WriteAsync(DomainEntry entry, DomainConnection connection, string path, Guid? snapshot)
    {
        byte[] description = (Describe(entry) with { Snapshot = snapshot }).ToBytes();
        return await connection.CallAsync((process, token) => process.WriteStateAsync(path, description, token), WritePatience, CancellationToken.None);
    }

    /// <summary>Builds a domain of a saved one and leaves it paused; the caller has it watched and lets it run. The file stays.</summary>
    /// <exception cref="DomainFailureException">The file is refused, before anything is done, or the domain cannot be built; nothing is left behind.</exception>
    public async Task<DomainEntry> RestoreAsync(string path, Action<BuildProgress>? progress, CancellationToken cancellationToken)
    {
        string file = Path.GetFullPath(path);
        SavedDescription saved = await Task.Run(() => SavedDescription.ReadFile(file), cancellationToken);
        progress?.Invoke(new BuildProgress("file", $"{file}: '{saved.Name}', saved at {saved.SavedAt:u}", 0));
        return await starter.RestoreAsync(saved, file, progress, cancellationToken);
    }

    /// <summary>What a domain is to be made like elsewhere, and its part of xenstore.</summary>
    public SavedDescription Describe(DomainEntry entry) => SavedDescription.Of(entry, store, clock.GetUtcNow());

    private async Task EndAsync(DomainEntry entry, string path)
    {
        entry.Ended = true;
        await starter.UndoAsync(entry);
        entry.Outcome.TrySetResult(new DomainOutcome
        {
            Id = entry.Id,
            Name = entry.Record.Name,
            Uuid = entry.Record.Uuid,
            End = DomainEnd.Suspend,
            Action = "save",
            Detail = $"saved to {path}",
        });
    }

    /// <summary>A mistyped path must not cost somebody a file: only a saved domain, or an empty file, is replaced.</summary>
    private static void DemandReplaceable(string path)
    {
        try
        {
            if (Directory.Exists(path))
            {
                throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"{path}: is a directory");
            }

            if (!File.Exists(path))
            {
                return;
            }

            using FileStream present = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            if (present.Length > 0)
            {
                _ = new SectionReader(present);
            }
        }
        catch (SavedStateException e) when (e.Error != SavedStateError.NotRecognised)
        {
            // One of another version, or half of one, may go.
        }
        catch (SavedStateException e)
        {
            throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"{path}: exists and is no saved domain: it is not replaced", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{path}: {e.Message}", e);
        }
    }
}
