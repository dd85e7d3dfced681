namespace Shinano.Storage.Pools;

/// <summary>Volumes that snapshot and clone. Names are those of one pool; failures are <see cref="VolumeException"/> with a message for people.</summary>
public interface IVolumePool
{
    /// <summary>The pool's name.</summary>
    string Name { get; }

    /// <summary>How to open a volume, or a snapshot for reading.</summary>
    Task<ImageReference> ResolveAsync(VolumeName name, CancellationToken cancellationToken = default);

    /// <summary>The pool, its volumes by name, and each volume's snapshots behind it, from the oldest.</summary>
    Task<IReadOnlyList<VolumeInfo>> ListAsync(CancellationToken cancellationToken = default);

    /// <summary>Makes a volume of zeroes.</summary>
    /// <param name="size">Bytes, a multiple of 512.</param>
    Task CreateAsync(VolumeName name, long size, CancellationToken cancellationToken = default);

    /// <summary>Names the present contents of a volume.</summary>
    Task SnapshotAsync(VolumeName name, CancellationToken cancellationToken = default);

    /// <summary>Makes a volume that begins as a snapshot.</summary>
    Task CloneAsync(VolumeName snapshot, VolumeName name, CancellationToken cancellationToken = default);

    /// <summary>Makes a volume what it was.</summary>
    /// <param name="destroyNewer">Destroys the snapshots that came later.</param>
    Task RollbackAsync(VolumeName snapshot, bool destroyNewer, CancellationToken cancellationToken = default);

    /// <summary>Turns a clone and its origin around: the origin's volume becomes the clone.</summary>
    Task PromoteAsync(VolumeName name, CancellationToken cancellationToken = default);

    /// <summary>Destroys a volume or a snapshot.</summary>
    /// <param name="snapshots">A volume's snapshots as well.</param>
    /// <param name="clones">And all clones of them.</param>
    Task DestroyAsync(VolumeName name, bool snapshots, bool clones, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default);

    /// <summary>Gives a volume or a snapshot another name.</summary>
    Task RenameAsync(VolumeName name, VolumeName to, CancellationToken cancellationToken = default);

    /// <summary>Makes a volume longer.</summary>
    Task ResizeAsync(VolumeName name, long size, CancellationToken cancellationToken = default);

    /// <summary>Changes a property of a volume or the pool.</summary>
    Task SetAsync(VolumeName name, string property, string value, CancellationToken cancellationToken = default);
}
