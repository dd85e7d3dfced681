using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Storage;
using Shinano.Storage.Pools;

namespace Shinano.Control.Daemon.Devices;

/// <summary>The volumes of this installation's pools.</summary>
internal sealed class PoolVolumes(VolumePools pools) : IVolumeResolver
{
    public async Task<VolumePlace> ResolveAsync(string volume, CancellationToken cancellation)
    {
        try
        {
            ImageReference image = await pools.ResolveAsync(volume, cancellation).ConfigureAwait(false);
            return new VolumePlace(image.Path, image.Format == ImageFormat.Qcow2 ? DiskImageFormat.Qcow2 : DiskImageFormat.Raw, image.ReadOnly);
        }
        catch (IOException e)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"vol:{volume}: {e.Message}", e);
        }
    }
}
