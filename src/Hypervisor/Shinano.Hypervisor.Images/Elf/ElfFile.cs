using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Shinano.Hypervisor.Images.Elf;

/// <summary>
/// The headers of a little-endian ELF file of either class. Reading never throws; every offset that is kept has been checked
/// to be in the file, except those of single sections and segments, which <see cref="TrySlice"/> checks where they are used.
/// </summary>
internal sealed class ElfFile
{
    private const int IdentSize = 16;

    private ElfFile(ReadOnlyMemory<byte> bytes, bool is64Bit)
    {
        Bytes = bytes;
        Is64Bit = is64Bit;
    }

    public ReadOnlyMemory<byte> Bytes { get; }

    public bool Is64Bit { get; }

    public ushort Machine { get; private init; }

    public ushort Type { get; private init; }

    public ulong EntryPoint { get; private init; }

    public ImmutableArray<ElfProgramHeader> ProgramHeaders { get; private init; }

    /// <summary>Empty when the section table is missing or damaged: a stripped kernel still starts.</summary>
    public ImmutableArray<ElfSectionHeader> Sections { get; private init; }

    private int SectionNameTable { get; init; }

    public static bool LooksLikeElf(ReadOnlySpan<byte> bytes) => bytes.StartsWith("\u007fELF"u8);

    public static bool TryParse(
        ReadOnlyMemory<byte> bytes, [NotNullWhen(true)] out ElfFile? elf, [NotNullWhen(false)] out string? problem)
    {
        elf = null;
        var span = bytes.Span;
        if (!LooksLikeElf(span) || span.Length < IdentSize)
        {
            problem = "the file is too short for an ELF header";
            return false;
        }

        var elfClass = span[4];
        if (elfClass is not (ElfConstants.Class32 or ElfConstants.Class64))
        {
            problem = $"its ELF class is {elfClass}, neither 1 (32-bit) nor 2 (64-bit)";
            return false;
        }

        if (span[5] != ElfConstants.LittleEndian)
        {
            problem = "it is not little-endian";
            return false;
        }

        var wide = elfClass == ElfConstants.Class64;
        var headerSize = wide ? 64 : 52;
        if (span.Length < headerSize)
        {
            problem = $"the file has {span.Length} bytes, fewer than its {headerSize}-byte ELF header";
            return false;
        }

        var programOffset = wide ? U64(span, 32) : U32(span, 28);
        var sectionOffset = wide ? U64(span, 40) : U32(span, 32);
        var counts = span[(wide ? 52 : 40)..];
        var programEntrySize = U16(counts, 2);
        var programCount = U16(counts, 4);
        var sectionEntrySize = U16(counts, 6);
        var sectionCount = U16(counts, 8);
        var sectionNameIndex = U16(counts, 10);

        if (programCount > 0 && programEntrySize < (wide ? 56 : 32))
        {
            problem = $"its program headers are {programEntrySize} bytes each, too few";
            return false;
        }

        if (!Fits(programOffset, (ulong)programCount * programEntrySize, span.Length))
        {
            problem = "its program headers lie beyond the end of the file (is the file truncated?)";
            return false;
        }

        var programHeaders = ImmutableArray.CreateBuilder<ElfProgramHeader>(programCount);
        for (var i = 0; i < programCount; i++)
        {
            programHeaders.Add(ReadProgramHeader(span[((int)programOffset + (i * programEntrySize))..], wide));
        }

        var sections = ImmutableArray<ElfSectionHeader>.Empty;
        if (sectionEntrySize >= (wide ? 64 : 40) && Fits(sectionOffset, (ulong)sectionCount * sectionEntrySize, span.Length))
        {
            var builder = ImmutableArray.CreateBuilder<ElfSectionHeader>(sectionCount);
            for (var i = 0; i < sectionCount; i++)
            {
                builder.Add(ReadSectionHeader(span, (int)sectionOffset + (i * sectionEntrySize), wide));
            }

            sections = builder.MoveToImmutable();
        }

        problem = null;
        elf = new ElfFile(bytes, wide)
        {
            Type = U16(span, 16),
            Machine = U16(span, 18),
            EntryPoint = wide ? U64(span, 24) : U32(span, 24),
            ProgramHeaders = programHeaders.MoveToImmutable(),
            Sections = sections,
            SectionNameTable = sectionNameIndex,
        };
        return true;
    }

    /// <summary>The file bytes [offset, offset + size), or false when they are not all there.</summary>
    public bool TrySlice(ulong offset, ulong size, out ReadOnlyMemory<byte> slice)
    {
        if (!Fits(offset, size, Bytes.Length))
        {
            slice = default;
            return false;
        }

        slice = Bytes.Slice((int)offset, (int)size);
        return true;
    }

    public bool TryFindSection(string name, out ReadOnlyMemory<byte> content)
    {
        content = default;
        if (SectionNameTable >= Sections.Length
            || !TrySlice(Sections[SectionNameTable].Offset, Sections[SectionNameTable].Size, out var names))
        {
            return false;
        }

        var wanted = Encoding.ASCII.GetBytes(name + "\0");
        foreach (var section in Sections)
        {
            if (section.NameOffset < (uint)names.Length
                && section.Type != ElfConstants.SectionNoBits
                && names.Span[(int)section.NameOffset..].StartsWith(wanted))
            {
                return TrySlice(section.Offset, section.Size, out content);
            }
        }

        return false;
    }

    private static ElfProgramHeader ReadProgramHeader(ReadOnlySpan<byte> entry, bool wide) => wide
        ? new(U32(entry, 0), U32(entry, 4), U64(entry, 8), U64(entry, 16), U64(entry, 24), U64(entry, 32), U64(entry, 40))
        : new(U32(entry, 0), U32(entry, 24), U32(entry, 4), U32(entry, 8), U32(entry, 12), U32(entry, 16), U32(entry, 20));

    private static ElfSectionHeader ReadSectionHeader(ReadOnlySpan<byte> file, int offset, bool wide)
    {
        var entry = file[offset..];
        return wide
            ? new(U32(entry, 0), U32(entry, 4), U64(entry, 24), U64(entry, 32), U32(entry, 40), offset)
            : new(U32(entry, 0), U32(entry, 4), U32(entry, 16), U32(entry, 20), U32(entry, 24), offset);
    }

    private static bool Fits(ulong offset, ulong size, int length) => offset <= (ulong)length && size <= (ulong)length - offset;

    private static ushort U16(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[offset..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);
}
