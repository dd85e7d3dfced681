namespace Shinano.Storage.Pools;

/// <summary>A layer that is not written any more, under a name.</summary>
internal sealed record SnapshotRecord
{
    public required string Name { get; init; }

    /// <summary>The same wherever the snapshot is received.</summary>
    public required Guid Guid { get; init; }

    public required DateTimeOffset Created { get; init; }

    /// <summary>Bytes of the disk then.</summary>
    public required long Size { get; init; }

    public required long Layer { get; init; }
}
