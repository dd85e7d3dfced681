using System.Buffers.Binary;

namespace Shinano.Network.Link;

/// <summary>libpcap's file format with nanoseconds, which tcpdump and wireshark read. Source: draft-ietf-opsawg-pcap. Pure.</summary>
public static class PcapFormat
{
    /// <summary>Bytes of a file's head.</summary>
    public const int FileHeaderSize = 24;

    /// <summary>Bytes before each frame.</summary>
    public const int RecordHeaderSize = 16;

    /// <summary>Bytes of a frame that are kept.</summary>
    public const int SnapLength = 262144;

    private const uint NanosecondMagic = 0xa1b23c4d;
    private const uint Ethernet = 1;

    /// <summary>The head of a file.</summary>
    public static byte[] CreateFileHeader()
    {
        byte[] header = new byte[FileHeaderSize];
        BinaryPrimitives.WriteUInt32LittleEndian(header, NanosecondMagic);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(4), 2);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(6), 4);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(16), SnapLength);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(20), Ethernet);
        return header;
    }

    /// <summary>Writes what comes before a frame.</summary>
    public static void WriteRecordHeader(Span<byte> place, DateTimeOffset time, int length)
    {
        long ticks = time.UtcTicks - DateTime.UnixEpoch.Ticks;
        BinaryPrimitives.WriteUInt32LittleEndian(place, (uint)(ticks / TimeSpan.TicksPerSecond));
        BinaryPrimitives.WriteUInt32LittleEndian(place[4..], (uint)(ticks % TimeSpan.TicksPerSecond * 100));
        BinaryPrimitives.WriteInt32LittleEndian(place[8..], Math.Min(length, SnapLength));
        BinaryPrimitives.WriteInt32LittleEndian(place[12..], length);
    }
}
