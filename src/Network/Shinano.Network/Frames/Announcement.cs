using System.Buffers.Binary;

namespace Shinano.Network.Frames;

/// <summary>
/// The frame that tells a network where an interface is now, on behalf of a guest that does not know that it was moved: a RARP request (RFC 903) for itself, which nobody
/// answers and for which no IP address needs to be known. QEMU's announce_self does the same.
/// </summary>
public static class Announcement
{
    private const int Length = 60; // The shortest frame, IEEE 802.3, without its checksum.
    private const ushort Ethernet = 1;
    private const ushort Ip = 0x0800;
    private const byte IpSize = 4;
    private const ushort RequestReverse = 3;

    /// <summary>Makes the frame.</summary>
    public static byte[] Of(MacAddress address)
    {
        byte[] frame = new byte[Length];
        MacAddress.Broadcast.Write(frame);
        address.Write(frame.AsSpan(MacAddress.Size));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), EthernetHeader.Rarp);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(14), Ethernet);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(16), Ip);
        frame[18] = MacAddress.Size;
        frame[19] = IpSize;
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(20), RequestReverse);
        address.Write(frame.AsSpan(22));
        address.Write(frame.AsSpan(32));
        return frame;
    }
}
