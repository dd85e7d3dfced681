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

    // Of migrations only: docs/formats/migration-stream.md.

    /// <summary>"OFFR": number and kind of a transfer that is offered, as JSON; a description follows.</summary>
    Offer = 0x5246464F,

    /// <summary>"ACPT": the target will take it, as JSON.</summary>
    Accept = 0x54504341,

    /// <summary>"RFSE": the target will not, and why, as JSON. Ends the transfer.</summary>
    Refuse = 0x45534652,

    /// <summary>"HEAD": what a machine for the domain must be; as the beginning of <see cref="Machine"/>.</summary>
    Head = 0x44414548,

    /// <summary>"CLCK": the host's time at which the guest's clocks were read.</summary>
    Clock = 0x4B434C43,

    /// <summary>"LAST": everything of the domain was sent.</summary>
    Last = 0x5453414C,

    /// <summary>"REDY": the domain is whole at the target, paused.</summary>
    Ready = 0x59444552,

    /// <summary>"GO..": the source has let go of the domain for good.</summary>
    Go = 0x2E2E4F47,

    /// <summary>"DONE": the domain runs at the target, as JSON.</summary>
    Done = 0x454E4F44,

    /// <summary>"ASK.": what became of a transfer? As JSON.</summary>
    Ask = 0x2E4B5341,

    /// <summary>"TOLD": what became of it, as JSON.</summary>
    Told = 0x444C4F54,

    /// <summary>"END.": the number of sections before it. Nothing follows.</summary>
    End = 0x2E444E45,
}
