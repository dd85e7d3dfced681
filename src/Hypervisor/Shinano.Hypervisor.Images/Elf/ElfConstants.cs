namespace Shinano.Hypervisor.Images.Elf;

/// <summary>Numbers of the System V gABI (ELF) that are used here.</summary>
internal static class ElfConstants
{
    public const byte Class32 = 1;
    public const byte Class64 = 2;
    public const byte LittleEndian = 1;
    public const ushort MachineI386 = 3;
    public const ushort MachineX8664 = 62;
    public const ushort TypeRelocatable = 1;
    public const uint SegmentLoad = 1;
    public const uint SegmentNote = 4;
    public const uint FlagExecute = 1;
    public const uint FlagWrite = 2;
    public const uint FlagRead = 4;
    public const uint SectionSymbolTable = 2;
    public const uint SectionStringTable = 3;
    public const uint SectionNote = 7;
    public const uint SectionNoBits = 8;
}
