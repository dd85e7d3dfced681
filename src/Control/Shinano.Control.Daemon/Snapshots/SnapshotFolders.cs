using System.Collections.Concurrent;
using Shinano.Control.Api.Domains;
using Shinano.Control.Daemon.Domains;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Snapshots;

/// <summary>The directories of all domains' snapshots. They outlive their domains: one that is named by nothing else is found by its snapshots' records.</summary>
internal sealed class SnapshotFolders(ShinanoPaths paths, DomainRegistry registry, ManagedDomains managed)
{
    private readonly ConcurrentDictionary<Guid, SemaphoreSlim> _gates = [];

    private string Root => Path.Combine(paths.StateDirectory, "snapshots");

    public IReadOnlyList<SnapshotFolder> All => Directory.Exists(Root)
        ? [.. Directory.EnumerateDirectories(Root).Order(StringComparer.Ordinal).Select(directory => Guid.TryParse(Path.GetFileName(directory), out Guid uuid) ? Of(uuid) : null).OfType<SnapshotFolder>()]
        : [];

    public SnapshotFolder Of(Guid uuid) => new(Path.Combine(Root, uuid.ToString("D")), uuid);

    /// <summary>Of a domain that runs, one that is managed, or one that is gone, by name or uuid.</summary>
    /// <param name="snapshot">Of which several domains that are gone and had the same name are told apart; null when none is named.</param>
    /// <exception cref="DomainFailureException">There is no such domain, or there were several.</exception>
    public SnapshotFolder Find(string domain, string? snapshot = null)
    {
        if ((registry.TryFind(domain)?.Record.Uuid ?? managed.TryFind(domain)?.Uuid) is { } uuid)
        {
            return Of(uuid);
        }

        SnapshotFolder[] found = [.. All.Where(folder => folder.Uuid.ToString("D") == domain || WasCalled(folder, domain))];
        SnapshotFolder[] fitting = found.Length > 1 && snapshot is not null ? [.. found.Where(folder => folder.Has(snapshot))] : found;
        return fitting.Length switch
        {
            1 => fitting[0],
            0 => throw new DomainFailureException(
                found.Length == 0 ? DomainFailureCode.NoSuchDomain : DomainFailureCode.NoSuchSnapshot,
                found.Length == 0 ? $"no domain '{domain}', and no snapshots of one" : $"no domain '{domain}' has a snapshot '{snapshot}'"),
            _ => throw new DomainFailureException(
                DomainFailureCode.InvalidArgument,
                $"several domains were called '{domain}': say which by its uuid: {string.Join(", ", fitting.Select(folder => folder.Uuid.ToString("D")))}"),
        };
    }

    /// <summary>Waits until nobody else changes a domain's snapshots; disposing the result lets others.</summary>
    public async Task<IDisposable> LockAsync(Guid uuid, CancellationToken cancellationToken)
    {
        SemaphoreSlim gate = _gates.GetOrAdd(uuid, _ => new SemaphoreSlim(1, 1));
        await gate.WaitAsync(cancellationToken);
        return new Turn(gate);
    }

    private static bool WasCalled(SnapshotFolder folder, string domain)
    {
        foreach (string name in folder.Names)
        {
            try
            {
                if (folder.Read(name).Domain == domain)
                {
                    return true;
                }
            }
            catch (DomainFailureException)
            {
                // The list of snapshots says what is wrong with it.
            }
        }

        return false;
    }

    private sealed class Turn(SemaphoreSlim gate) : IDisposable
    {
        public void Dispose() => gate.Release();
    }
}
