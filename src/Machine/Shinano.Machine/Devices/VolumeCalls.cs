using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Devices.Paravirtual.Block;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Linux;
using Shinano.Storage.Pools;

namespace Shinano.Machine.Devices;

/// <summary>xend's calls about the volumes that disks write to, one at a time.</summary>
internal sealed class VolumeCalls
{
    private const string Kind = "vbd";

    private readonly SemaphoreSlim _one = new(1, 1);

    /// <summary>Takes a snapshot of a disk's volume, while the disk has let go of it.</summary>
    public Task SnapshotAsync(BackEndRegistry devices, string id, string snapshot, Guid guid, CancellationToken cancellation) => OnDiskAsync(
        devices,
        id,
        async disk =>
        {
            VolumeName name = VolumeName.ParseSnapshot(snapshot, "create snapshot");
            DirectoryPool pool = PoolOf(name, "create snapshot");
            await disk.ReopenAsync(token => pool.SnapshotAsync(name, guid, token), cancellation).ConfigureAwait(false);
            await MergeIfDueAsync(disk, pool, name with { Snapshot = null }).ConfigureAwait(false);
        },
        cancellation);

    /// <summary>Begins to make a disk's volume independent of the layers below it. What goes on already goes on, unless it is a merge that would leave some.</summary>
    public Task BeginFlattenAsync(BackEndRegistry devices, string id, string volume, CancellationToken cancellation) => OnDiskAsync(
        devices,
        id,
        async disk =>
        {
            VolumeName name = VolumeName.ParseVolume(volume, "flatten");
            if (disk.Work is not FlattenWork { IsEnded: false, IsWhole: true })
            {
                await disk.StartAsync(new FlattenWork(PoolOf(name, "flatten"), name, kept: 0), cancellation).ConfigureAwait(false);
            }
        },
        cancellation);

    /// <summary>Ends such work; what was copied stays copied.</summary>
    public Task StopFlattenAsync(BackEndRegistry devices, string id, CancellationToken cancellation) =>
        OnDiskAsync(devices, id, disk => disk.StartAsync(null, cancellation), cancellation);

    /// <summary>What such work there is or was last, by disk.</summary>
    public static IReadOnlyList<FlattenStatus> DescribeFlatten(BackEndRegistry devices) =>
    [
        .. from disk in devices.Devices.OfType<BlockBackEnd>()
           let work = disk.Work as FlattenWork
           where work is not null
           select work.Describe(disk.Id),
    ];

    /// <summary>Returns when no call is under way. Whoever takes a domain up knows then which snapshots of its volumes there are: one that was being taken is there, or will not be.</summary>
    public async Task EndedAsync()
    {
        await _one.WaitAsync().ConfigureAwait(false);
        _one.Release();
    }

    /// <summary>A chain that has become long becomes shorter by itself (docs/design/storage.md, "Long chains").</summary>
    private static async Task MergeIfDueAsync(BlockBackEnd disk, DirectoryPool pool, VolumeName name)
    {
        try
        {
            if (disk.Work is not FlattenWork { IsEnded: false } && pool.FindMergeDue(name) is { } kept)
            {
                await disk.StartAsync(new FlattenWork(pool, name, kept), CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The snapshot is there; the next one tries again.
            await Console.Error.WriteLineAsync($"merge layers of {name}: {e.Message}").ConfigureAwait(false);
        }
    }

    private static DirectoryPool PoolOf(VolumeName name, string action) => new VolumePools(ShinanoPaths.Current).GetDirectoryPool(name, action);

    private async Task OnDiskAsync(BackEndRegistry devices, string id, Func<BlockBackEnd, Task> act, CancellationToken cancellation)
    {
        await _one.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            await act(devices.Get(Kind, id) as BlockBackEnd ?? throw new BackEndException($"{Kind}/{id} is no disk")).ConfigureAwait(false);
        }
        catch (BackEndException e)
        {
            throw new DomainFailureException(DomainFailureCode.InvalidArgument, e.Message, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, e.Message, e);
        }
        finally
        {
            _one.Release();
        }
    }
}
