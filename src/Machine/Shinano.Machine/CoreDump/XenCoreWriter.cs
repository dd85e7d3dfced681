using System.Buffers.Binary;
using System.Text;
using Shinano.Memory;

namespace Shinano.Machine.CoreDump;

/// <summary>
/// Writes a domain's memory and vCPUs in Xen's dump-core format: an ELF core with sections and without program headers. Source: docs/misc/dump-core-format.txt.
/// </summary>
/// <remarks>
/// <code>
///   ELF header | .shstrtab | .note.Xen | .xen_prstatus | .xen_shared_info | .xen_p2m | .xen_pages (page aligned) | section headers
/// </code>
/// </remarks>
internal static class XenCoreWriter
{
    private const int ElfHeaderSize = 64;
    private const int SectionHeaderSize = 64;
    private const int SectionCount = 7;
    private const int CoreType = 4;
    private const int Machine = 62;
    private const ulong ParavirtualMagic = 0xF00FEBED;
    private const uint NoteNone = 0x2000000;
    private const uint NoteHeader = 0x2000001;
    private const uint NoteXenVersion = 0x2000002;
    private const uint NoteFormatVersion = 0x2000003;
    private const int VersionNoteSize = 8 + 8 + 16 + 176 + 1024 + 64 + 8 + 8;
    private const int SymbolicProgramBits = 1;
    private const int StringTable = 3;
    private const int Note = 7;

    private static readonly string[] SectionNames = ["", ".shstrtab", ".note.Xen", ".xen_prstatus", ".xen_shared_info", ".xen_p2m", ".xen_pages"];

    /// <summary>Writes the file to a seekable stream.</summary>
    /// <param name="contexts">The vCPUs, each a struct vcpu_guest_context.</param>
    /// <param name="pages">Guest and machine frame of every page, in the order they are to be written.</param>
    public static void Write(
        Stream output, GuestMemory memory, ulong sharedInfoFrame, IReadOnlyList<byte[]> contexts, IReadOnlyList<(ulong Pfn, ulong Mfn)> pages)
    {
        byte[] strings = Encoding.ASCII.GetBytes(string.Join('\0', SectionNames) + "\0");
        byte[] notes = Notes(contexts.Count, pages.Count);
        long at = ElfHeaderSize;
        (long Offset, long Size)[] sections = new (long, long)[SectionCount];
        void Place(int index, long size, int alignment)
        {
            at = (at + alignment - 1) & ~(alignment - 1L);
            sections[index] = (at, size);
            at += size;
        }

        long contextSize = contexts.Sum(c => (long)c.Length);
        Place(1, strings.Length, 1);
        Place(2, notes.Length, 8);
        Place(3, contextSize, 8);
        Place(4, GuestMemory.PageSize, 8);
        Place(5, pages.Count * 16L, 8);
        Place(6, pages.Count * (long)GuestMemory.PageSize, GuestMemory.PageSize);
        long headers = at;

        output.Write(ElfHeader(headers));
        output.Position = sections[1].Offset;
        output.Write(strings);
        output.Position = sections[2].Offset;
        output.Write(notes);
        output.Position = sections[3].Offset;
        foreach (byte[] context in contexts)
        {
            output.Write(context);
        }

        output.Position = sections[4].Offset;
        output.Write(memory.FrameSpan(sharedInfoFrame));
        output.Position = sections[5].Offset;
        byte[] pair = new byte[16];
        foreach ((ulong pfn, ulong mfn) in pages)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(pair, pfn);
            BinaryPrimitives.WriteUInt64LittleEndian(pair.AsSpan(8), mfn);
            output.Write(pair);
        }

        output.Position = sections[6].Offset;
        foreach ((_, ulong mfn) in pages)
        {
            output.Write(memory.FrameSpan(mfn));
        }

        output.Position = headers;
        for (int i = 0; i < SectionCount; i++)
        {
            output.Write(SectionHeader(i, sections[i], contexts.Count == 0 ? 0 : contexts[0].Length));
        }
    }

    private static byte[] ElfHeader(long sectionHeaders)
    {
        byte[] header = new byte[ElfHeaderSize];
        ((ReadOnlySpan<byte>)[0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0]).CopyTo(header);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(16), CoreType);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(18), Machine);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(20), 1);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(40), sectionHeaders);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(52), ElfHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(58), SectionHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(60), SectionCount);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(62), 1);
        return header;
    }

    private static byte[] SectionHeader(int index, (long Offset, long Size) place, int contextSize)
    {
        byte[] header = new byte[SectionHeaderSize];
        if (index == 0)
        {
            return header;
        }

        int name = SectionNames.Take(index).Sum(n => n.Length + 1);
        uint type = index switch { 1 => StringTable, 2 => Note, _ => SymbolicProgramBits };
        long entry = index switch { 3 => contextSize, 4 or 6 => GuestMemory.PageSize, 5 => 16, _ => 0 };
        long alignment = index switch { 1 => 1, 6 => GuestMemory.PageSize, _ => 8 };
        BinaryPrimitives.WriteInt32LittleEndian(header, name);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(4), type);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(24), place.Offset);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(32), place.Size);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(48), alignment);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(56), entry);
        return header;
    }

    private static byte[] Notes(int vcpus, int pages)
    {
        using MemoryStream notes = new();
        AddNote(notes, NoteNone, []);
        AddNote(notes, NoteHeader, Words(ParavirtualMagic, (ulong)vcpus, (ulong)pages, GuestMemory.PageSize));
        byte[] version = new byte[VersionNoteSize];
        BinaryPrimitives.WriteUInt64LittleEndian(version, 4);
        BinaryPrimitives.WriteUInt64LittleEndian(version.AsSpan(8), 17);
        Encoding.ASCII.GetBytes(".0", version.AsSpan(16));
        Encoding.ASCII.GetBytes("xen-3.0-x86_64", version.AsSpan(16 + 16 + 176));
        BinaryPrimitives.WriteUInt64LittleEndian(version.AsSpan(VersionNoteSize - 16), 0xFFFF_8000_0000_0000);
        BinaryPrimitives.WriteUInt64LittleEndian(version.AsSpan(VersionNoteSize - 8), GuestMemory.PageSize);
        AddNote(notes, NoteXenVersion, version);
        AddNote(notes, NoteFormatVersion, Words(1));
        return notes.ToArray();
    }

    private static void AddNote(MemoryStream notes, uint type, ReadOnlySpan<byte> description)
    {
        Span<byte> head = stackalloc byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(head, 4);
        BinaryPrimitives.WriteInt32LittleEndian(head[4..], description.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(head[8..], type);
        "Xen\0"u8.CopyTo(head[12..]);
        notes.Write(head);
        notes.Write(description);
        while (notes.Length % 4 != 0)
        {
            notes.WriteByte(0);
        }
    }

    private static byte[] Words(params ReadOnlySpan<ulong> words)
    {
        byte[] bytes = new byte[words.Length * 8];
        for (int i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * 8), words[i]);
        }

        return bytes;
    }
}
