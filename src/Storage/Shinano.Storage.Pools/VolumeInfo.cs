namespace Shinano.Storage.Pools;

/// <summary>A line of a list: a pool, a volume or a snapshot.</summary>
public sealed record VolumeInfo
{
    /// <summary>As ZFS writes it.</summary>
    public required string Name { get; init; }

    /// <summary><c>pool</c>, <c>volume</c> or <c>snapshot</c>.</summary>
    public required string Type { get; init; }

    /// <summary>Bytes on the host's file system that are of this alone.</summary>
    public required long Used { get; init; }

    /// <summary>Bytes that may still be used; null for snapshots.</summary>
    public long? Available { get; init; }

    /// <summary>Bytes that the contents take, shared ones as well.</summary>
    public long Referenced { get; init; }

    /// <summary>Bytes of the disk; null for a pool.</summary>
    public long? VolumeSize { get; init; }

    /// <summary>The snapshot that it is a clone of.</summary>
    public string? Origin { get; init; }

    /// <summary>When it was made.</summary>
    public DateTimeOffset? Created { get; init; }

    /// <summary>Identifies a snapshot in streams.</summary>
    public Guid Guid { get; init; }

    /// <summary>Who uses it at the moment; null for nobody.</summary>
    public string? InUseBy { get; init; }

    /// <summary>How far the domain that uses it is with making its layers one; null when it is not, or when nobody asked it.</summary>
    public TransferProgress? Flatten { get; init; }

    /// <summary>Layers that a read may have to ask.</summary>
    public int? Layers { get; init; }

    /// <summary>No domain may write to it.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary><c>off</c> or <c>zstd</c>.</summary>
    public string? Compression { get; init; }

    /// <summary>A pool's limit in bytes; null for none.</summary>
    public long? Quota { get; init; }
}
