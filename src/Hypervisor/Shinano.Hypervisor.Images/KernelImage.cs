using System.Collections.Immutable;

namespace Shinano.Hypervisor.Images;

/// <summary>A kernel that can be started as a 64-bit PV domain, with its addresses worked out as Xen's domain builder does.</summary>
public sealed record KernelImage
{
    /// <summary>What the ELF file came in.</summary>
    public required KernelContainer Container { get; init; }

    /// <summary>How the ELF file was compressed.</summary>
    public required PayloadCompression Compression { get; init; }

    /// <summary>The version string of a Linux bzImage's setup header, such as "6.1.0-56-amd64 (...)"; null where there is none.</summary>
    public string? LinuxVersion { get; init; }

    /// <summary>The Xen notes as the file has them.</summary>
    public required XenElfNotes Notes { get; init; }

    /// <summary>The segments to load, in file order, plus the symbol table where BSD_SYMTAB asks for it.</summary>
    public required ImmutableArray<KernelSegment> Segments { get; init; }

    /// <summary>The virtual address of pseudo-physical address 0 (VIRT_BASE, 0 by default).</summary>
    public required ulong VirtualBase { get; init; }

    /// <summary>
    /// What is taken off <c>p_paddr</c> before VIRT_BASE is added. 0 by default; VIRT_BASE with a legacy __xen_guest section.
    /// </summary>
    public required ulong ElfPhysicalOffset { get; init; }

    /// <summary>The lowest virtual address of the image (libelf's virt_kstart).</summary>
    public required ulong VirtualStart { get; init; }

    /// <summary>The virtual address after the last byte of the image, the symbol table included (libelf's virt_kend).</summary>
    public required ulong VirtualEnd { get; init; }

    /// <summary>The virtual address of the first instruction.</summary>
    public required ulong Entry { get; init; }

    /// <summary>
    /// The virtual address of the page to fill with hypercall stubs; null when the kernel asks for it later or not at all.
    /// </summary>
    public ulong? HypercallPage => Notes.HypercallPage;

    /// <summary>Where the kernel wants its P2M (INIT_P2M); null for "after the image, in the initial mapping".</summary>
    public ulong? InitialP2M => Notes.InitialP2M;

    /// <summary>The ELF file, decompressed: for symbols.</summary>
    public required ReadOnlyMemory<byte> Elf { get; init; }
}
