using System.Buffers.Binary;
using Shinano.Network.Frames;

namespace Shinano.Network.Link;

/// <summary>What TAP puts before a frame with IFF_VNET_HDR. Source: linux/virtio_net.h: struct virtio_net_hdr. Pure.</summary>
/// <remarks>
/// <code>
/// 0 flags u8 (1 needs checksum, 2 data valid)   1 GSO type u8   2 length of headers u16   4 segment size u16   6 checksum start u16   8 checksum offset u16
/// </code>
/// </remarks>
public static class VirtioHeader
{
    /// <summary>Bytes of it.</summary>
    public const int Size = 10;

    private const byte NeedsChecksum = 1;
    private const byte DataValid = 2;
    private const byte GsoTcpV4 = 1;
    private const byte GsoTcpV6 = 4;
    private const byte GsoCongestion = 0x80;

    /// <summary>The header of a frame; with nothing left undone when the frame is not what its offload says.</summary>
    public static byte[] Write(ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        byte[] header = new byte[Size];
        if ((offload.ChecksumBlank || offload.Gso != GsoKind.None) && TransportHeader.TryFind(frame, out TransportHeader transport))
        {
            header[0] = NeedsChecksum;
            BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(6), (ushort)transport.Offset);
            BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(8), (ushort)transport.ChecksumOffset);
            if (offload.Gso != GsoKind.None && transport.IsTcp)
            {
                header[1] = offload.Gso == GsoKind.TcpV4 ? GsoTcpV4 : GsoTcpV6;
                BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(2), (ushort)transport.PayloadOffset);
                BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(4), offload.SegmentSize);
            }
        }
        else if (offload.ChecksumValid)
        {
            header[0] = DataValid;
        }

        return header;
    }

    /// <summary>Reads the header of a frame; false for kinds of GSO that were not asked for.</summary>
    /// <param name="header">At least <see cref="Size"/> bytes.</param>
    /// <param name="length">Bytes of the frame.</param>
    /// <param name="offload">What is left to do.</param>
    public static bool TryRead(ReadOnlySpan<byte> header, int length, out FrameOffload offload)
    {
        GsoKind? gso = (header[1] & ~GsoCongestion) switch
        {
            0 => GsoKind.None,
            GsoTcpV4 => GsoKind.TcpV4,
            GsoTcpV6 => GsoKind.TcpV6,
            _ => null,
        };
        ushort size = BinaryPrimitives.ReadUInt16LittleEndian(header[4..]);
        bool isBlank = (header[0] & NeedsChecksum) != 0;
        offload = new FrameOffload(isBlank, isBlank || (header[0] & DataValid) != 0, gso ?? GsoKind.None, gso is null or GsoKind.None ? (ushort)0 : size);
        return gso is not null && (gso == GsoKind.None || size > 0) && length <= LinkFormat.MaximumFrame;
    }
}
