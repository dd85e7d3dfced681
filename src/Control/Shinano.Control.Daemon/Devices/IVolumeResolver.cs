namespace Shinano.Control.Daemon.Devices;

/// <summary>Finds out where a volume is.</summary>
internal interface IVolumeResolver
{
    /// <summary>The file or device of a volume, and its format.</summary>
    /// <param name="volume">POOL/VOLUME, or POOL/VOLUME@SNAPSHOT.</param>
    /// <exception cref="Shinano.Control.Api.Domains.DomainFailureException">There is no such volume.</exception>
    Task<VolumePlace> ResolveAsync(string volume, CancellationToken cancellation);

    /// <summary>Demands that the name of a volume or snapshot is free.</summary>
    /// <exception cref="Shinano.Control.Api.Domains.DomainFailureException">It is taken, or no legal name.</exception>
    Task DemandFreeAsync(string volume, CancellationToken cancellation);

    /// <summary>Makes a volume that begins as a snapshot.</summary>
    /// <exception cref="Shinano.Control.Api.Domains.DomainFailureException">The pool refuses.</exception>
    Task CloneAsync(string snapshot, string volume, CancellationToken cancellation);

    /// <summary>Destroys volumes and snapshots; one that is not there, or that others still need, stays as it is.</summary>
    /// <exception cref="Shinano.Control.Api.Domains.DomainFailureException">A volume is in use.</exception>
    Task DestroyAsync(IReadOnlyList<string> volumes);
}
