namespace Shinano.Hypervisor.Images.Elf;

internal readonly record struct ElfSectionHeader(uint NameOffset, uint Type, ulong Offset, ulong Size, uint Link, int HeaderOffset);
