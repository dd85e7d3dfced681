using System.Buffers.Binary;
using System.Text;

namespace Shinano.Storage.Qcow2;

/// <summary>The header of an image with its extensions (QEMU docs/interop/qcow2.txt: "Header", "Header extensions"). Pure: bytes in, bytes out.</summary>
internal sealed record Qcow2Header
{
    public const uint Magic = 0x514649fb; // "QFI\xfb"
    public const int MostHeaderBytes = 1 << Qcow2Layout.MostClusterBits;

    private const int LengthOfVersion2 = 72;
    private const int LeastLengthOfVersion3 = 104;
    private const int WrittenLength = 112;
    private const int MostBackingName = 1023;
    private const uint ExtensionEnd = 0;
    private const uint ExtensionBackingFormat = 0xe2792aca;
    private const uint ExtensionFeatureNames = 0x6803f857;
    private const uint ExtensionBitmaps = 0x23852875;

    public required Qcow2Layout Layout { get; init; }

    /// <summary>Bytes of the guest's disk.</summary>
    public required long Size { get; init; }

    public required int L1Entries { get; init; }

    public required long L1Offset { get; init; }

    public required long RefcountTableOffset { get; init; }

    public required int RefcountTableClusters { get; init; }

    public uint Snapshots { get; init; }

    public long SnapshotsOffset { get; init; }

    public ulong Incompatible { get; init; }

    public ulong Compatible { get; init; }

    public ulong Autoclear { get; init; }

    /// <summary>0 zlib (deflate without a header), 1 zstd.</summary>
    public byte Compression { get; init; }

    /// <summary>As the header has it; null without a backing file.</summary>
    public string? BackingFile { get; init; }

    /// <summary>As its extension states it.</summary>
    public string? BackingFormat { get; init; }

    /// <summary>Fields behind those that we know; kept as they are (qcow2.txt, "Additional fields").</summary>
    public byte[] OtherFields { get; init; } = [];

    /// <summary>Extensions that we keep as they are.</summary>
    public IReadOnlyList<(uint Type, byte[] Data)> OtherExtensions { get; init; } = [];

    /// <summary>Reads and checks a header.</summary>
    /// <param name="bytes">The file's first cluster, or as much as there is.</param>
    /// <exception cref="InvalidImageException">It is none of ours; the message says what is wrong.</exception>
    public static Qcow2Header Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < LengthOfVersion2 || U32(bytes, 0) != Magic)
        {
            throw Bad("this is not a qcow2 image (no magic number at its start)");
        }

        uint version = U32(bytes, 4);
        if (version is not (2 or 3))
        {
            throw Bad($"qcow2 version {version}; 2 and 3 are known");
        }

        uint clusterBits = U32(bytes, 20);
        if (clusterBits is < Qcow2Layout.LeastClusterBits or > Qcow2Layout.MostClusterBits)
        {
            throw Bad($"cluster_bits is {clusterBits}, not {Qcow2Layout.LeastClusterBits} to {Qcow2Layout.MostClusterBits}");
        }

        if (U32(bytes, 32) is var encryption and not 0)
        {
            throw Bad($"the image is encrypted (crypt_method {encryption}), which is not supported");
        }

        uint headerLength = LengthOfVersion2;
        uint refcountOrder = 4;
        if (version == 3)
        {
            Require(bytes.Length >= LeastLengthOfVersion3, "the file ends within the header");
            headerLength = U32(bytes, 100);
            Require(headerLength >= LeastLengthOfVersion3 && headerLength % 8 == 0 && headerLength <= 1u << (int)clusterBits, $"header_length is {headerLength}");
            Require(headerLength <= bytes.Length, "the file ends within the header");
            refcountOrder = U32(bytes, 96);
            Require(refcountOrder <= 6, $"refcount_order is {refcountOrder}, more than 6");
        }

        Qcow2Layout layout = new((int)version, (int)clusterBits, (int)refcountOrder);
        int area = Math.Min(bytes.Length, layout.ClusterSize);
        (string? backingFormat, List<(uint, byte[])> others, Dictionary<int, string> names) = ReadExtensions(bytes[..area], (int)headerLength);
        ulong incompatible = version == 3 ? U64(bytes, 72) : 0;
        CheckFeatures(incompatible, names);
        byte compression = headerLength > 104 ? bytes[104] : (byte)0;
        Require(
            ((incompatible & Qcow2Features.CompressionType) != 0) == (compression != 0) && compression <= 1,
            $"compression type {compression} is unknown, or contradicts its feature bit");

        Qcow2Header header = new()
        {
            Layout = layout,
            Size = Signed(bytes, 24, "size"),
            L1Entries = (int)Math.Min(U32(bytes, 36), int.MaxValue),
            L1Offset = Signed(bytes, 40, "l1_table_offset"),
            RefcountTableOffset = Signed(bytes, 48, "refcount_table_offset"),
            RefcountTableClusters = (int)Math.Min(U32(bytes, 56), int.MaxValue),
            Snapshots = U32(bytes, 60),
            SnapshotsOffset = Signed(bytes, 64, "snapshots_offset"),
            Incompatible = incompatible,
            Compatible = version == 3 ? U64(bytes, 80) : 0,
            Autoclear = version == 3 ? U64(bytes, 88) : 0,
            Compression = compression,
            BackingFile = ReadBackingName(bytes[..area]),
            BackingFormat = backingFormat,
            OtherFields = headerLength > WrittenLength ? bytes[WrittenLength..(int)headerLength].ToArray() : [],
            OtherExtensions = others,
        };
        header.CheckTables();
        return header;
    }

    /// <summary>The header as the first bytes of the file; the rest of the first cluster up to here was ours as well.</summary>
    /// <exception cref="InvalidImageException">The backing file's name does not fit into the first cluster.</exception>
    public byte[] Encode()
    {
        using MemoryStream stream = new();
        stream.SetLength(Layout.Version == 2 ? LengthOfVersion2 : WrittenLength);
        stream.Position = stream.Length;
        stream.Write(OtherFields);
        if (BackingFile is not null && BackingFormat is not null)
        {
            WriteExtension(stream, ExtensionBackingFormat, Encoding.UTF8.GetBytes(BackingFormat));
        }

        foreach ((uint type, byte[] data) in OtherExtensions)
        {
            WriteExtension(stream, type, data);
        }

        WriteExtension(stream, ExtensionEnd, []);
        long backingOffset = 0;
        byte[] backing = BackingFile is null ? [] : Encoding.UTF8.GetBytes(BackingFile);
        if (backing.Length > 0)
        {
            backingOffset = stream.Position;
            stream.Write(backing);
        }

        byte[] bytes = stream.ToArray();
        if (bytes.Length > Layout.ClusterSize || backing.Length > MostBackingName)
        {
            throw Bad("the backing file's name is too long for the header");
        }

        WriteFields(bytes, backingOffset, (uint)backing.Length);
        return bytes;
    }

    private void WriteFields(Span<byte> bytes, long backingOffset, uint backingLength)
    {
        Put32(bytes, 0, Magic);
        Put32(bytes, 4, (uint)Layout.Version);
        Put64(bytes, 8, (ulong)backingOffset);
        Put32(bytes, 16, backingLength);
        Put32(bytes, 20, (uint)Layout.ClusterBits);
        Put64(bytes, 24, (ulong)Size);
        Put32(bytes, 32, 0);
        Put32(bytes, 36, (uint)L1Entries);
        Put64(bytes, 40, (ulong)L1Offset);
        Put64(bytes, 48, (ulong)RefcountTableOffset);
        Put32(bytes, 56, (uint)RefcountTableClusters);
        Put32(bytes, 60, Snapshots);
        Put64(bytes, 64, (ulong)SnapshotsOffset);
        if (Layout.Version >= 3)
        {
            Put64(bytes, 72, Incompatible);
            Put64(bytes, 80, Compatible);
            Put64(bytes, 88, Autoclear);
            Put32(bytes, 96, (uint)Layout.RefcountOrder);
            Put32(bytes, 100, (uint)(WrittenLength + OtherFields.Length));
            bytes[104] = Compression;
        }
    }

    private void CheckTables()
    {
        Require(Size % BlockRange.SectorSize == 0 || Size < long.MaxValue - BlockRange.SectorSize, "size is out of range");
        Require((long)L1Entries * 8 <= Qcow2Layout.MostL1Bytes, $"l1_size is {L1Entries}: an L1 table of more than 32 MiB");
        Require(Size >> Layout.ClusterBits >> (Layout.ClusterBits - 3) < int.MaxValue && Layout.TablesOf(Size) <= L1Entries, $"l1_size is {L1Entries}, too small for {Size} bytes");
        CheckPlace(L1Offset, (long)L1Entries * 8, "l1_table_offset");
        Require(RefcountTableClusters > 0, "refcount_table_clusters is 0");
        long bytes = (long)RefcountTableClusters << Layout.ClusterBits;
        Require(bytes <= Math.Max(Qcow2Layout.MostRefcountTableBytes, Layout.ClusterSize), "a refcount table of more than 8 MiB");
        CheckPlace(RefcountTableOffset, bytes, "refcount_table_offset");
        bool apart = L1Offset + ((long)L1Entries * 8) <= RefcountTableOffset || RefcountTableOffset + bytes <= L1Offset;
        Require(L1Entries == 0 || apart, "the L1 table and the refcount table overlap");
    }

    private void CheckPlace(long offset, long length, string field)
    {
        if (length > 0)
        {
            Require(offset >= Layout.ClusterSize && Layout.IsAligned(offset) && offset <= Qcow2Layout.HostLimit - length, $"{field} is {offset}");
        }
    }

    private static void CheckFeatures(ulong incompatible, Dictionary<int, string> names)
    {
        ulong unknown = incompatible & ~Qcow2Features.Known;
        if (unknown != 0)
        {
            IEnumerable<string> list = Enumerable.Range(0, 64)
                .Where(bit => (unknown >> bit & 1) != 0)
                .Select(bit => Qcow2Features.NameOf(bit) ?? (names.TryGetValue(bit, out string? name) ? $"bit {bit} ('{name}')" : $"bit {bit}"));
            throw Bad($"the image uses features that are not supported: {string.Join(", ", list)}");
        }
    }

    private static (string? BackingFormat, List<(uint, byte[])> Others, Dictionary<int, string> FeatureNames) ReadExtensions(ReadOnlySpan<byte> area, int position)
    {
        string? format = null;
        List<(uint, byte[])> others = [];
        Dictionary<int, string> names = [];
        while (position <= area.Length - 8 && U32(area, position) is var type and not ExtensionEnd)
        {
            // A version 2 image may have its backing file's name here instead: not an extension, as its length shows.
            uint length = U32(area, position + 4);
            if (length > area.Length - position - 8)
            {
                Require(false, $"the header extension 0x{type:x8} is longer than the first cluster");
            }

            ReadOnlySpan<byte> data = area.Slice(position + 8, (int)length);
            switch (type)
            {
                case ExtensionBackingFormat:
                    format = Encoding.UTF8.GetString(data);
                    break;
                case ExtensionFeatureNames:
                    ReadFeatureNames(data, names);
                    others.Add((type, data.ToArray()));
                    break;
                case ExtensionBitmaps:
                    // Their consistency is lost with the autoclear bit, and the clusters become leaks: keep the pointer.
                    others.Add((type, data.ToArray()));
                    break;
                default:
                    others.Add((type, data.ToArray()));
                    break;
            }

            position += 8 + (int)((length + 7) / 8 * 8);
        }

        return (format, others, names);
    }

    private static void ReadFeatureNames(ReadOnlySpan<byte> data, Dictionary<int, string> names)
    {
        // Byte 0 type (0 incompatible), 1 bit, 2-47 name.
        for (; data.Length >= 48; data = data[48..])
        {
            if (data[0] == 0)
            {
                string text = Encoding.ASCII.GetString(data[2..48]).TrimEnd('\0');
                names[data[1]] = string.Concat(text.Select(c => c is >= ' ' and < '\x7f' ? c : '?'));
            }
        }
    }

    private static string? ReadBackingName(ReadOnlySpan<byte> area)
    {
        ulong offset = U64(area, 8);
        uint length = U32(area, 16);
        if (offset == 0 || length == 0)
        {
            return null;
        }

        Require(length <= MostBackingName && offset <= (ulong)area.Length && length <= (ulong)area.Length - offset, "the backing file's name is outside of the first cluster, or longer than 1023 bytes");
        string name = Encoding.UTF8.GetString(area.Slice((int)offset, (int)length));
        Require(!name.Contains('\0', StringComparison.Ordinal) && !name.Contains('\ufffd', StringComparison.Ordinal), "the backing file's name is no text");
        return name;
    }

    private static void WriteExtension(Stream stream, uint type, byte[] data)
    {
        Span<byte> head = stackalloc byte[8];
        Put32(head, 0, type);
        Put32(head, 4, (uint)data.Length);
        stream.Write(head);
        stream.Write(data);
        stream.Write(new byte[(8 - (data.Length % 8)) % 8]);
    }

    private static long Signed(ReadOnlySpan<byte> bytes, int at, string field)
    {
        ulong value = U64(bytes, at);
        return value <= long.MaxValue ? (long)value : throw Bad($"{field} is 0x{value:x}");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw Bad(message);
        }
    }

    private static InvalidImageException Bad(string message) => new(message);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32BigEndian(bytes[at..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64BigEndian(bytes[at..]);

    private static void Put32(Span<byte> bytes, int at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(bytes[at..], value);

    private static void Put64(Span<byte> bytes, int at, ulong value) => BinaryPrimitives.WriteUInt64BigEndian(bytes[at..], value);
}
