namespace Shinano.Control.Configuration.Disks;

/// <summary>One entry of <c>disk</c>. Source: xl-disk-configuration(5), and the prefixes of the older xm.</summary>
public sealed record DiskConfiguration
{
    /// <summary>File or block device; xend makes a relative one absolute. Null for a volume, and for a drive without a medium.</summary>
    public string? Target { get; init; }

    /// <summary>POOL/VOLUME; xend knows where that is. Null for a file.</summary>
    public string? Volume { get; init; }

    /// <summary>As stated; null is raw for a file, and what the pool says for a volume. Never guessed from the content.</summary>
    public DiskFormat? Format { get; init; }

    /// <summary>The guest's name for it, e.g. "xvda".</summary>
    public required string VirtualDevice { get; init; }

    /// <summary>Number of the device in xenstore (<see cref="VirtualDiskName"/>).</summary>
    public required int Number { get; init; }

    public bool ReadOnly { get; init; }

    public bool IsCdrom { get; init; }

    /// <summary>The guest may give back what it does not use any more.</summary>
    public bool Discard { get; init; } = true;
}
