using System.Buffers.Binary;

namespace Shinano.Hypervisor.Images.Elf;

/// <summary>
/// The symbol table that a BSD kernel finds behind its image (XEN_ELFNOTE_BSD_SYMTAB), in the form Xen 4.7 and later give it:
/// <code>
/// +0    u32  bytes that follow, up to the end of the string table
/// +4    Elf64_Ehdr, e_shoff = 64, e_shnum = 3, no program headers
/// +68   Elf64_Shdr[3]: none, SYMTAB, STRTAB; sh_offset counts from +4
/// +264  symbol table, then (at a multiple of 8) string table
/// </code>
/// </summary>
internal static class BsdSymbolTable
{
    private const int HeaderSize = 64;
    private const int SectionHeaderSize = 64;
    private const int ElfStart = 4;
    private const int SectionsStart = ElfStart + HeaderSize;
    private const int SymbolsStart = 264; // 68 + 3 * 64, rounded up to 8

    /// <summary>False when the file has no usable symbol table: the kernel then starts without one, as under Xen.</summary>
    public static bool TryBuild(ElfFile elf, out ReadOnlyMemory<byte> table)
    {
        table = default;
        if (!elf.Is64Bit)
        {
            return false;
        }

        var index = -1;
        for (var i = 1; i < elf.Sections.Length && index < 0; i++)
        {
            index = elf.Sections[i].Type == ElfConstants.SectionSymbolTable ? i : -1;
        }

        if (index < 0 || elf.Sections[index].Link is 0 || elf.Sections[index].Link >= elf.Sections.Length)
        {
            return false;
        }

        var symbols = elf.Sections[index];
        var names = elf.Sections[(int)symbols.Link];
        if (names.Type != ElfConstants.SectionStringTable
            || !elf.TrySlice(symbols.Offset, symbols.Size, out var symbolBytes)
            || !elf.TrySlice(names.Offset, names.Size, out var nameBytes))
        {
            return false;
        }

        // Both may name the same bytes of a large file: the sum is checked against int before it is used.
        var namesStart = RoundUp8((long)SymbolsStart + symbolBytes.Length);
        var size = RoundUp8(namesStart + nameBytes.Length);
        if (size > KernelImageReader.MaximumImageSize)
        {
            return false;
        }

        var bytes = new byte[size];
        var span = bytes.AsSpan();
        BinaryPrimitives.WriteUInt32LittleEndian(span, (uint)(namesStart + nameBytes.Length - ElfStart));
        elf.Bytes.Span[..HeaderSize].CopyTo(span[ElfStart..]);
        var header = span[ElfStart..];
        BinaryPrimitives.WriteUInt32LittleEndian(header[20..], 1); // e_version
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], 0); // e_phoff
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], HeaderSize); // e_shoff
        BinaryPrimitives.WriteUInt16LittleEndian(header[52..], HeaderSize); // e_ehsize
        BinaryPrimitives.WriteUInt32LittleEndian(header[54..], 0); // e_phentsize, e_phnum
        BinaryPrimitives.WriteUInt16LittleEndian(header[58..], SectionHeaderSize); // e_shentsize
        BinaryPrimitives.WriteUInt16LittleEndian(header[60..], 3); // e_shnum
        BinaryPrimitives.WriteUInt16LittleEndian(header[62..], 0); // e_shstrndx
        WriteSection(elf, symbols, span[(SectionsStart + SectionHeaderSize)..], SymbolsStart - ElfStart, link: 2);
        WriteSection(elf, names, span[(SectionsStart + (2 * SectionHeaderSize))..], namesStart - ElfStart, link: null);
        symbolBytes.Span.CopyTo(span[SymbolsStart..]);
        nameBytes.Span.CopyTo(span[(int)namesStart..]);
        table = bytes;
        return true;
    }

    private static void WriteSection(ElfFile elf, ElfSectionHeader section, Span<byte> target, long offset, uint? link)
    {
        elf.Bytes.Span.Slice(section.HeaderOffset, SectionHeaderSize).CopyTo(target);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], (ulong)offset);
        if (link is { } index)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(target[40..], index);
        }
    }

    private static long RoundUp8(long value) => (value + 7) & ~7L;
}
