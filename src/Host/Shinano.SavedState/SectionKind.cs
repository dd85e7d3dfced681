namespace Shinano.SavedState;

/// <summary>What a section of a saved domain holds; the values are four letters, little-endian. See docs/formats/saved-domain.md.</summary>
public enum SectionKind : uint
{
    None = 0,

    /// <summary>"DESC": configuration, identity and xenstore nodes, as JSON, for xend.</summary>
    Description = 0x43534544,

    /// <summary>"MACH": the hypervisor's books and the vCPUs.</summary>
    Machine = 0x4843414D,

    /// <summary>"RING": messages of console and xenstore that are under way, and the console's history.</summary>
    Rings = 0x474E4952,

    /// <summary>"FRAM": machine frames of the guest and their pseudo-physical numbers.</summary>
    Frames = 0x4D415246,

    /// <summary>"PAGE": a number of the guest's frames and their content.</summary>
    Pages = 0x45474150,

    /// <summary>"PAGZ": the same, the content packed with zstd.</summary>
    PackedPages = 0x5A474150,

    /// <summary>"END.": the number of sections before it. Nothing follows.</summary>
    End = 0x2E444E45,
}
