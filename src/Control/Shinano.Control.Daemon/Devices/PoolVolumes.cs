using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Storage;
using Shinano.Storage.Pools;

namespace Shinano.Control.Daemon.Devices;

/// <summary>The volumes of this installation's pools.</summary>
internal sealed class PoolVolumes(VolumePools pools) : IVolumeResolver
{
    public Task<VolumePlace> ResolveAsync(string volume, CancellationToken cancellation) => TryAsync(volume, async () =>
    {
        ImageReference image = await pools.ResolveAsync(volume, cancellation).ConfigureAwait(false);
        return new VolumePlace(image.Path, image.Format == ImageFormat.Qcow2 ? DiskImageFormat.Qcow2 : DiskImageFormat.Raw, image.ReadOnly);
    });

    public async Task DemandFreeAsync(string volume, CancellationToken cancellation)
    {
        if (await TryAsync(volume, () => IsThereAsync(VolumeName.Parse(volume, "create"), cancellation)).ConfigureAwait(false))
        {
            throw new DomainFailureException(DomainFailureCode.Duplicate, $"vol:{volume} exists already");
        }
    }

    public Task CloneAsync(string snapshot, string volume, CancellationToken cancellation) => TryAsync(volume, async () =>
    {
        VolumeName name = VolumeName.ParseVolume(volume, "create");
        await pools.Get(name.Pool).CloneAsync(VolumeName.ParseSnapshot(snapshot, "clone"), name, cancellation).ConfigureAwait(false);
        return true;
    });

    public async Task DestroyAsync(IReadOnlyList<string> volumes)
    {
        foreach (string volume in volumes)
        {
            await TryAsync(volume, async () =>
            {
                VolumeName name = VolumeName.Parse(volume, "destroy");
                if (await IsThereAsync(name, CancellationToken.None).ConfigureAwait(false))
                {
                    await DestroyAsync(name).ConfigureAwait(false);
                }

                return true;
            }).ConfigureAwait(false);
        }
    }

    private async Task DestroyAsync(VolumeName name)
    {
        try
        {
            await pools.Get(name.Pool).DestroyAsync(name, snapshots: name.Snapshot is null, clones: false).ConfigureAwait(false);
        }
        catch (VolumeException) when (name.Snapshot is not null)
        {
            // Another copy's volume still begins there.
        }
    }

    private async Task<bool> IsThereAsync(VolumeName name, CancellationToken cancellation)
    {
        try
        {
            _ = await pools.Get(name.Pool).ResolveAsync(name, cancellation).ConfigureAwait(false);
            return true;
        }
        catch (VolumeException)
        {
            return false;
        }
    }

    private static async Task<T> TryAsync<T>(string volume, Func<Task<T>> work)
    {
        try
        {
            return await work().ConfigureAwait(false);
        }
        catch (IOException e)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"vol:{volume}: {e.Message}", e);
        }
    }
}
