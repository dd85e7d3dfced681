using System.Buffers.Binary;
using Shinano.Network.Frames;

namespace Shinano.Network.Link;

/// <summary>Frames between a domain process and the switch, one behind the other on a stream; drawn in docs/formats/network-link.md. Pure.</summary>
/// <remarks>
/// <code>
/// 0 length of the frame u32   4 flags u8 (1 checksum blank, 2 checksum valid)   5 GSO kind u8   6 segment size u16   8 frame
/// </code>
/// Little-endian.
/// </remarks>
public static class LinkFormat
{
    /// <summary>Bytes before each frame.</summary>
    public const int HeaderSize = 8;

    /// <summary>Bytes of the longest frame: an IP packet of 65535 bytes behind a tagged header, rounded up.</summary>
    public const int MaximumFrame = 65560;

    private const byte ChecksumBlank = 1;
    private const byte ChecksumValid = 2;

    /// <summary>Writes a header.</summary>
    public static void WriteHeader(Span<byte> place, int length, FrameOffload offload)
    {
        BinaryPrimitives.WriteInt32LittleEndian(place, length);
        place[4] = (byte)((offload.ChecksumBlank ? ChecksumBlank : 0) | (offload.ChecksumValid ? ChecksumValid : 0));
        place[5] = (byte)offload.Gso;
        BinaryPrimitives.WriteUInt16LittleEndian(place[6..], offload.SegmentSize);
    }

    /// <summary>Takes the first frame of what has come.</summary>
    /// <param name="bytes">What has come; the rest afterwards.</param>
    /// <param name="frame">A part of it.</param>
    /// <param name="offload">With no GSO when its size is none.</param>
    public static LinkReadStatus TryRead(ref ReadOnlySpan<byte> bytes, out ReadOnlySpan<byte> frame, out FrameOffload offload)
    {
        frame = default;
        offload = default;
        if (bytes.Length < HeaderSize)
        {
            return LinkReadStatus.NeedMore;
        }

        uint length = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        byte flags = bytes[4];
        byte gso = bytes[5];
        ushort size = BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]);
        if (length > MaximumFrame || (flags & ~(ChecksumBlank | ChecksumValid)) != 0 || gso > (byte)GsoKind.TcpV6 || (gso != 0 && size == 0))
        {
            return LinkReadStatus.Malformed;
        }

        if (bytes.Length - HeaderSize < length)
        {
            return LinkReadStatus.NeedMore;
        }

        frame = bytes.Slice(HeaderSize, (int)length);
        offload = new FrameOffload((flags & ChecksumBlank) != 0, (flags & ChecksumValid) != 0, (GsoKind)gso, gso == 0 ? (ushort)0 : size);
        bytes = bytes[(HeaderSize + (int)length)..];
        return LinkReadStatus.Frame;
    }
}
