using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;

namespace Shinano.Control.Daemon.Devices;

/// <summary>A host without pools.</summary>
internal sealed class NoVolumes : IVolumeResolver
{
    public (string Path, DiskImageFormat Format) Resolve(string volume) =>
        throw new DomainFailureException(DomainFailureCode.NotSupported, $"vol:{volume}: there are no volumes on this host");
}
