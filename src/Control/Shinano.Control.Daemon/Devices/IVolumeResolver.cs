namespace Shinano.Control.Daemon.Devices;

/// <summary>Finds out where a volume is.</summary>
internal interface IVolumeResolver
{
    /// <summary>The file or device of a volume, and its format.</summary>
    /// <param name="volume">POOL/VOLUME, or POOL/VOLUME@SNAPSHOT.</param>
    /// <exception cref="Shinano.Control.Api.Domains.DomainFailureException">There is no such volume.</exception>
    Task<VolumePlace> ResolveAsync(string volume, CancellationToken cancellation);
}
