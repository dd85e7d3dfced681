using System.Buffers.Binary;
using System.Text;
using Shinano.Hypervisor.Images.Elf;

namespace Shinano.Hypervisor.Images.Notes;

/// <summary>Finds what a kernel says to Xen, in the order that libelf looks: PT_NOTE, then SHT_NOTE, then __xen_guest.</summary>
internal static class XenNoteParser
{
    /// <summary>libelf's ELF_MAX_TOTAL_NOTE_COUNT: bounds the work that a hostile file can ask for.</summary>
    private const int MaximumNotes = 65536;

    private const int NoteHeaderSize = 12;

    /// <summary>Notes may repeat; lists keep this many, so that a file of nothing but notes costs no more than its length.</summary>
    private const int MaximumListed = 8;

    /// <summary>Long enough for any text that a kernel gives; a longer one is cut.</summary>
    private const int MaximumText = 256;

    public static XenElfNotes Parse(ElfFile elf)
    {
        var notes = new XenElfNotes { Source = XenNotesSource.None };
        var budget = MaximumNotes;
        foreach (var header in elf.ProgramHeaders)
        {
            // Some versions of binutils leave p_offset of a note segment 0; that would be the ELF header itself.
            if (header.Type == ElfConstants.SegmentNote && header.Offset != 0
                && elf.TrySlice(header.Offset, header.FileSize, out var bytes))
            {
                notes = ParseNotes(bytes.Span, notes, XenNotesSource.NoteSegments, ref budget);
            }
        }

        if (notes.Source == XenNotesSource.None)
        {
            foreach (var section in elf.Sections)
            {
                if (section.Type == ElfConstants.SectionNote && elf.TrySlice(section.Offset, section.Size, out var bytes))
                {
                    notes = ParseNotes(bytes.Span, notes, XenNotesSource.NoteSections, ref budget);
                }
            }
        }

        if (notes.Source == XenNotesSource.None && elf.TryFindSection("__xen_guest", out var legacy))
        {
            notes = LegacyGuestSection.Parse(Text(legacy.Span, 4096));
        }

        return notes;
    }

    private static XenElfNotes ParseNotes(ReadOnlySpan<byte> bytes, XenElfNotes notes, XenNotesSource source, ref int budget)
    {
        while (bytes.Length >= NoteHeaderSize && budget-- > 0)
        {
            ulong nameSize = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
            ulong descriptorSize = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            var type = (XenNoteType)BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
            bytes = bytes[NoteHeaderSize..];
            var descriptorStart = RoundUp4(nameSize);
            if (descriptorStart > (ulong)bytes.Length || descriptorSize > (ulong)bytes.Length - descriptorStart)
            {
                break;
            }

            if (bytes[..(int)nameSize].SequenceEqual("Xen\0"u8))
            {
                notes = Apply(notes with { Source = source }, type, bytes.Slice((int)descriptorStart, (int)descriptorSize));
            }

            // The padding after the last descriptor may be missing.
            bytes = bytes[(int)Math.Min((ulong)bytes.Length, descriptorStart + RoundUp4(descriptorSize))..];
        }

        return notes;
    }

    private static XenElfNotes Apply(XenElfNotes notes, XenNoteType type, ReadOnlySpan<byte> value) => type switch
    {
        XenNoteType.Info when notes.Info.Length < MaximumListed => notes with { Info = notes.Info.Add(Text(value)) },
        XenNoteType.Entry => notes with { Entry = Number(value) },
        XenNoteType.HypercallPage => notes with { HypercallPage = Number(value) },
        XenNoteType.VirtBase => notes with { VirtualBase = Number(value) },
        XenNoteType.PaddrOffset => notes with { PhysicalOffset = Number(value) },
        XenNoteType.XenVersion => notes with { XenVersion = Text(value) },
        XenNoteType.GuestOs => notes with { GuestOs = Text(value) },
        XenNoteType.GuestVersion => notes with { GuestVersion = Text(value) },
        XenNoteType.Loader => notes with { Loader = Text(value) },
        XenNoteType.PaeMode => notes with { PaeMode = Text(value) },
        XenNoteType.Features => WithFeatures(notes, Text(value)),
        XenNoteType.BsdSymtab => notes with { BsdSymbolTable = Text(value) == "yes" },
        XenNoteType.HvStartLow => notes with { HypervisorStartLow = Number(value) },
        XenNoteType.L1MfnValid => WithMfnPatterns(notes, value),
        XenNoteType.SuspendCancel => notes with { SuspendCancel = Number(value) != 0 },
        XenNoteType.InitP2M => notes with { InitialP2M = Number(value) },
        XenNoteType.ModStartPfn => notes with { ModuleStartIsPfn = Number(value) != 0 },
        XenNoteType.SupportedFeatures => notes with { SupportedFeatures = notes.SupportedFeatures | FirstWord(value) },
        XenNoteType.Phys32Entry => notes with { Phys32Entry = (uint)Number(value) },
        _ => notes, // a note of a later Xen: no business of ours
    };

    internal static XenElfNotes WithFeatures(XenElfNotes notes, string text)
    {
        var (supported, required, unknown) = FeatureString.Parse(text);
        return notes with
        {
            Features = text,
            SupportedFeatures = notes.SupportedFeatures | supported,
            RequiredFeatures = notes.RequiredFeatures | required,
            UnknownRequiredFeatures = [.. notes.UnknownRequiredFeatures.Concat(unknown).Take(MaximumListed)],
        };
    }

    private static XenElfNotes WithMfnPatterns(XenElfNotes notes, ReadOnlySpan<byte> value)
    {
        // maddr_t-sized pairs: 8 bytes each for a 64-bit guest. More than a few make no sense; each costs the MMU work.
        for (; notes.L1MfnValid.Length < MaximumListed && value.Length >= 16; value = value[16..])
        {
            notes = notes with
            {
                L1MfnValid = notes.L1MfnValid.Add(new MfnValidPattern(
                    BinaryPrimitives.ReadUInt64LittleEndian(value), BinaryPrimitives.ReadUInt64LittleEndian(value[8..]))),
            };
        }

        return notes;
    }

    /// <summary>libelf's elf_note_numeric: any other size than 1, 2, 4 or 8 bytes reads as 0.</summary>
    private static ulong Number(ReadOnlySpan<byte> value) => value.Length switch
    {
        1 => value[0],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(value),
        4 => BinaryPrimitives.ReadUInt32LittleEndian(value),
        8 => BinaryPrimitives.ReadUInt64LittleEndian(value),
        _ => 0,
    };

    /// <summary>libelf reads SUPPORTED_FEATURES as an array of 32-bit submaps; there is one.</summary>
    private static uint FirstWord(ReadOnlySpan<byte> value) =>
        value.Length >= 4 && value.Length % 4 == 0 ? BinaryPrimitives.ReadUInt32LittleEndian(value) : 0;

    private static string Text(ReadOnlySpan<byte> value, int limit = MaximumText)
    {
        var end = value.IndexOf((byte)0);
        value = end >= 0 ? value[..end] : value;
        return Encoding.ASCII.GetString(value[..Math.Min(value.Length, limit)]);
    }

    private static ulong RoundUp4(ulong value) => (value + 3) & ~3UL;
}
