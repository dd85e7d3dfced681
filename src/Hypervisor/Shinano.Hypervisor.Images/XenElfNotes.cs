using System.Collections.Immutable;

namespace Shinano.Hypervisor.Images;

/// <summary>
/// What a kernel says of itself to Xen, from its "Xen" ELF notes (<c>public/elfnote.h</c>) or from the older __xen_guest section.
/// A value is null where the kernel does not give it: defaults are applied in <see cref="KernelImage"/>.
/// </summary>
public sealed record XenElfNotes
{
    /// <summary>Where the values were found.</summary>
    public required XenNotesSource Source { get; init; }

    /// <summary>XEN_ELFNOTE_GUEST_OS: "linux", "NetBSD", "Mini-OS"...</summary>
    public string? GuestOs { get; init; }

    /// <summary>XEN_ELFNOTE_GUEST_VERSION.</summary>
    public string? GuestVersion { get; init; }

    /// <summary>XEN_ELFNOTE_XEN_VERSION: "xen-3.0" in every kernel that can run.</summary>
    public string? XenVersion { get; init; }

    /// <summary>XEN_ELFNOTE_LOADER: "generic".</summary>
    public string? Loader { get; init; }

    /// <summary>XEN_ELFNOTE_PAE_MODE as written: "yes", "no", "bimodal" or "yes,bimodal". 32-bit kernels only.</summary>
    public string? PaeMode { get; init; }

    /// <summary>XEN_ELFNOTE_FEATURES as written, such as "!writable_page_tables|pae_pgdir_above_4gb".</summary>
    public string? Features { get; init; }

    /// <summary>
    /// One bit per XENFEAT_ number (<c>public/features.h</c>, submap 0) that the kernel can live with, from the string and from
    /// XEN_ELFNOTE_SUPPORTED_FEATURES together.
    /// </summary>
    public uint SupportedFeatures { get; init; }

    /// <summary>One bit per XENFEAT_ number that the kernel cannot live without (a leading "!").</summary>
    public uint RequiredFeatures { get; init; }

    /// <summary>Features that the kernel requires and that have no number: it cannot be started.</summary>
    public ImmutableArray<string> UnknownRequiredFeatures { get; init; } = [];

    /// <summary>XEN_ELFNOTE_VIRT_BASE: the virtual address of pseudo-physical 0.</summary>
    public ulong? VirtualBase { get; init; }

    /// <summary>XEN_ELFNOTE_PADDR_OFFSET.</summary>
    public ulong? PhysicalOffset { get; init; }

    /// <summary>XEN_ELFNOTE_ENTRY: a virtual address.</summary>
    public ulong? Entry { get; init; }

    /// <summary>XEN_ELFNOTE_HYPERCALL_PAGE: a virtual address (the legacy form's page number is already turned into one).</summary>
    public ulong? HypercallPage { get; init; }

    /// <summary>XEN_ELFNOTE_HV_START_LOW: a virtual address.</summary>
    public ulong? HypervisorStartLow { get; init; }

    /// <summary>XEN_ELFNOTE_INIT_P2M: the virtual address where the initial P2M is wanted.</summary>
    public ulong? InitialP2M { get; init; }

    /// <summary>XEN_ELFNOTE_PHYS32_ENTRY: the 32-bit physical entry of a PVH kernel. Not used for PV.</summary>
    public uint? Phys32Entry { get; init; }

    /// <summary>XEN_ELFNOTE_MOD_START_PFN: the ramdisk may be passed as a frame number, outside the initial mapping.</summary>
    public bool ModuleStartIsPfn { get; init; }

    /// <summary>XEN_ELFNOTE_SUSPEND_CANCEL: a suspend hypercall may return 1 for "cancelled".</summary>
    public bool SuspendCancel { get; init; }

    /// <summary>XEN_ELFNOTE_BSD_SYMTAB: load the symbol table behind the image.</summary>
    public bool BsdSymbolTable { get; init; }

    /// <summary>XEN_ELFNOTE_L1_MFN_VALID: how to tell the L1 entries that carry a machine frame.</summary>
    public ImmutableArray<MfnValidPattern> L1MfnValid { get; init; } = [];

    /// <summary>XEN_ELFNOTE_INFO strings, "NAME=VALUE".</summary>
    public ImmutableArray<string> Info { get; init; } = [];
}
