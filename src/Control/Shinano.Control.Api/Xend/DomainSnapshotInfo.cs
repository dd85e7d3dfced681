using Shinano.Control.Api.Domains;

namespace Shinano.Control.Api.Xend;

/// <summary>A snapshot of a domain, as lists show it.</summary>
public sealed record DomainSnapshotInfo
{
    public required string Name { get; init; }

    /// <summary>The snapshot from which the domain came to this one; null for a first one.</summary>
    public string? Parent { get; init; }

    /// <summary>The domain comes from this one: it was taken or reverted to last.</summary>
    public bool Current { get; init; }

    public DateTimeOffset? Taken { get; init; }

    /// <summary>The domain was paused.</summary>
    public bool Paused { get; init; }

    /// <summary>Bytes of the file that has the memory.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>POOL/VOLUME@SNAPSHOT of each disk.</summary>
    public IReadOnlyList<string> Volumes { get; init; } = [];

    /// <summary>Why the snapshot is of no use; null for one that can be read.</summary>
    public DomainFailure? Problem { get; init; }
}
