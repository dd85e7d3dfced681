namespace Shinano.Storage.Qcow2;

/// <summary>What a check of an image's tables found.</summary>
public sealed record ImageCheckReport
{
    /// <summary>Clusters that count as used and are not: space lost, nothing else.</summary>
    public long Leaks { get; init; }

    /// <summary>Clusters with fewer references counted than there are.</summary>
    public long LowRefcounts { get; init; }

    /// <summary>Entries whose flag contradicts the refcount.</summary>
    public long WrongFlags { get; init; }

    /// <summary>Entries that cannot be right, which a repair leaves alone.</summary>
    public long BadEntries { get; init; }

    /// <summary>The first of them, in words.</summary>
    public IReadOnlyList<string> Messages { get; init; } = [];

    /// <summary>Clusters that hold the guest's data.</summary>
    public long DataClusters { get; init; }

    /// <summary>Of these, compressed ones.</summary>
    public long CompressedClusters { get; init; }

    /// <summary>Leaks were freed, refcounts and flags set right.</summary>
    public bool IsRepaired { get; init; }

    /// <summary>Data may be lost or overwritten unless it is repaired.</summary>
    public bool IsCorrupt => LowRefcounts + WrongFlags + BadEntries > 0;

    /// <summary>Nothing was found.</summary>
    public bool IsClean => !IsCorrupt && Leaks == 0;
}
