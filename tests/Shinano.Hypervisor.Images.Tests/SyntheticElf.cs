using System.Buffers.Binary;
using System.Text;

namespace Shinano.Hypervisor.Images.Tests;

/// <summary>Builds small ELF files, byte by byte, so that each test can say exactly what is in one.</summary>
internal sealed class SyntheticElf
{
    private readonly List<(uint Type, uint Flags, ulong Virtual, ulong Physical, byte[] Bytes, ulong MemorySize)> segments = [];
    private readonly List<(string Name, uint Type, byte[] Bytes, uint Link)> sections = [];
    private readonly MemoryStream notes = new();

    public bool Is64Bit { get; init; } = true;

    public ushort Machine { get; init; } = 62;

    public ushort Type { get; init; } = 2;

    public ulong EntryPoint { get; init; }

    /// <summary>Puts the notes into a SHT_NOTE section instead of a PT_NOTE segment.</summary>
    public bool NotesInSection { get; init; }

    /// <summary>A kernel as Linux builds it: text and data at 16 MiB, linked high, with the notes that Linux has.</summary>
    public static SyntheticElf LinuxLike()
    {
        var elf = new SyntheticElf { EntryPoint = 0x1000000 };
        elf.Load(0xffffffff81000000, 0x1000000, Pattern(3000), 8192)
            .Load(0xffffffff82000000, 0x1002000, Pattern(500), 4096, flags: 6)
            .Load(0, 0x1003000, Pattern(100), 100, flags: 6) // the per-CPU segment is linked at 0
            .Text(6, "linux").Text(7, "2.6").Text(5, "xen-3.0").Text(8, "generic")
            .Number(3, 0xffffffff80000000).Number(15, 0x8000000000).Number(1, 0xffffffff81000100)
            .Text(10, "!writable_page_tables|pae_pgdir_above_4gb").Number(17, 0x8801, 4).Text(9, "yes")
            .Raw(13, [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
            .Number(14, 1, 4).Number(16, 1, 4).Number(12, 0xffff800000000000).Number(4, 0)
            .Number(2, 0xffffffff81001000).Number(18, 0x1000200, 4);
        return elf;
    }

    public static byte[] Pattern(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)((i * 7) ^ (i >> 5)))];

    public SyntheticElf Load(ulong virtualAddress, ulong physical, byte[] bytes, ulong memorySize, uint flags = 5)
    {
        segments.Add((1, flags, virtualAddress, physical, bytes, memorySize));
        return this;
    }

    public SyntheticElf Section(string name, uint type, byte[] bytes, uint link = 0)
    {
        sections.Add((name, type, bytes, link));
        return this;
    }

    public SyntheticElf Text(uint type, string value) => Raw(type, Encoding.ASCII.GetBytes(value + "\0"));

    public SyntheticElf Number(uint type, ulong value, int size = 8) => Raw(type, BitConverter.GetBytes(value)[..size]);

    public SyntheticElf Raw(uint type, byte[] value, string owner = "Xen")
    {
        var name = Encoding.ASCII.GetBytes(owner + "\0");
        notes.Write(BitConverter.GetBytes(name.Length));
        notes.Write(BitConverter.GetBytes(value.Length));
        notes.Write(BitConverter.GetBytes(type));
        WritePadded(notes, name);
        WritePadded(notes, value);
        return this;
    }

    public byte[] Build()
    {
        var allSegments = segments.ToList();
        var allSections = sections.ToList();
        if (notes.Length > 0)
        {
            if (NotesInSection)
            {
                allSections.Add((".notes", 7, notes.ToArray(), 0));
            }
            else
            {
                allSegments.Add((4, 4, 0, 0, notes.ToArray(), (ulong)notes.Length));
            }
        }

        var headerSize = Is64Bit ? 64 : 52;
        var programSize = Is64Bit ? 56 : 32;
        var sectionSize = Is64Bit ? 64 : 40;
        var body = new MemoryStream();
        var bodyStart = headerSize + (programSize * allSegments.Count);
        var programs = new MemoryStream();
        foreach (var segment in allSegments)
        {
            Write(programs, segment.Type, 4);
            var offset = (ulong)(bodyStart + body.Length);
            if (Is64Bit)
            {
                Write(programs, segment.Flags, 4);
            }

            Words(programs, offset, segment.Virtual, segment.Physical, (ulong)segment.Bytes.Length, segment.MemorySize);
            if (!Is64Bit)
            {
                Write(programs, segment.Flags, 4);
            }

            Words(programs, 4);
            WritePadded(body, segment.Bytes);
        }

        var table = new MemoryStream();
        var names = new MemoryStream();
        if (allSections.Count > 0)
        {
            names.WriteByte(0);
            table.Write(new byte[sectionSize]);
            foreach (var section in allSections)
            {
                AddSection(section.Name, section.Type, section.Bytes, section.Link);
            }

            var offset = (ulong)names.Length;
            names.Write(".shstrtab\0"u8);
            AddSectionHeader(offset, 3, (ulong)(bodyStart + body.Length), (ulong)names.Length, 0);
            WritePadded(body, names.ToArray());
        }

        var file = new MemoryStream();
        file.Write([0x7f, (byte)'E', (byte)'L', (byte)'F', (byte)(Is64Bit ? 2 : 1), 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        Write(file, Type, 2);
        Write(file, Machine, 2);
        Write(file, 1, 4);
        Words(file, EntryPoint, (ulong)headerSize, allSections.Count > 0 ? (ulong)(bodyStart + body.Length) : 0);
        Write(file, 0, 4);
        foreach (var half in (ReadOnlySpan<int>)[headerSize, programSize, allSegments.Count, sectionSize])
        {
            Write(file, (ulong)half, 2);
        }

        Write(file, (ulong)(allSections.Count > 0 ? allSections.Count + 2 : 0), 2);
        Write(file, (ulong)(allSections.Count > 0 ? allSections.Count + 1 : 0), 2);
        file.Write(programs.ToArray());
        file.Write(body.ToArray());
        file.Write(table.ToArray());
        return file.ToArray();

        void AddSection(string name, uint type, byte[] bytes, uint link)
        {
            var offset = (ulong)names.Length;
            names.Write(Encoding.ASCII.GetBytes(name + "\0"));
            AddSectionHeader(offset, type, (ulong)(bodyStart + body.Length), (ulong)bytes.Length, link);
            WritePadded(body, bytes);
        }

        void AddSectionHeader(ulong name, uint type, ulong offset, ulong size, uint link)
        {
            Write(table, name, 4);
            Write(table, type, 4);
            Words(table, 0, 0, offset, size);
            Write(table, link, 4);
            Write(table, 0, 4);
            Words(table, 1, 0);
        }
    }

    private static void Write(Stream stream, ulong value, int size)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        stream.Write(bytes[..size]);
    }

    private static void WritePadded(Stream stream, byte[] bytes)
    {
        stream.Write(bytes);
        stream.Write(new byte[-bytes.Length & 3]);
    }

    private void Words(Stream stream, params ReadOnlySpan<ulong> values)
    {
        foreach (var value in values)
        {
            Write(stream, value, Is64Bit ? 8 : 4);
        }
    }
}
