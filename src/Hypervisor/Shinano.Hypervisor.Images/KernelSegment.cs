namespace Shinano.Hypervisor.Images;

/// <summary>A run of guest memory that the image fills.</summary>
/// <param name="VirtualAddress">
/// Where the first byte goes in the guest's address space, in bytes. As in Xen, this is the segment's <c>p_paddr</c> moved by
/// VIRT_BASE - ELF_PADDR_OFFSET, not its <c>p_vaddr</c>: the two differ in Linux, whose per-CPU segment is linked at 0.
/// </param>
/// <param name="LinkedAddress">The segment's <c>p_vaddr</c>, for symbols only.</param>
/// <param name="PseudoPhysicalAddress">
/// <see cref="VirtualAddress"/> - VIRT_BASE: the offset in bytes from the start of the domain's pseudo-physical memory.
/// </param>
/// <param name="FileBytes">The bytes to copy; a view of the (decompressed) file.</param>
/// <param name="MemorySize">Size in memory in bytes, at least the length of <paramref name="FileBytes"/>; the rest is zero.</param>
/// <param name="Writable">PF_W of the segment. Advice only: Xen maps the whole kernel writable.</param>
/// <param name="Executable">PF_X of the segment.</param>
public sealed record KernelSegment(
    ulong VirtualAddress,
    ulong LinkedAddress,
    ulong PseudoPhysicalAddress,
    ReadOnlyMemory<byte> FileBytes,
    ulong MemorySize,
    bool Writable,
    bool Executable);
