namespace Shinano.Hypervisor.Images.Elf;

internal readonly record struct ElfProgramHeader(
    uint Type, uint Flags, ulong Offset, ulong VirtualAddress, ulong PhysicalAddress, ulong FileSize, ulong MemorySize)
{
    /// <summary>libelf's elf_phdr_is_loadable: PT_LOAD with at least one access right.</summary>
    public bool IsLoadable =>
        Type == ElfConstants.SegmentLoad
        && (Flags & (ElfConstants.FlagRead | ElfConstants.FlagWrite | ElfConstants.FlagExecute)) != 0;
}
