using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Shinano.Network.Frames;

/// <summary>The checksum of IP, TCP and UDP. Source: RFC 1071.</summary>
public static class InternetChecksum
{
    /// <summary>Adds bytes to a sum, as 16-bit words in the host's order of bytes.</summary>
    public static ulong Add(ulong sum, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(bytes);
        foreach (uint word in words)
        {
            sum += word;
        }

        bytes = bytes[(words.Length * 4)..];
        if (bytes.Length >= 2)
        {
            sum += MemoryMarshal.Read<ushort>(bytes);
            bytes = bytes[2..];
        }

        return bytes.IsEmpty ? sum : sum + bytes[0];
    }

    /// <summary>Folds a sum to 16 bits, in network order when written with <see cref="BinaryPrimitives.WriteUInt16LittleEndian"/>.</summary>
    public static ushort Fold(ulong sum)
    {
        while (sum >> 16 != 0)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }

        return (ushort)sum;
    }

    /// <summary>Writes the checksum of an IPv4 header.</summary>
    public static void WriteIpV4(Span<byte> header)
    {
        header[10..12].Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(header[10..], (ushort)~Fold(Add(0, header)));
    }

    /// <summary>Computes and writes the checksum of a frame's TCP or UDP.</summary>
    /// <returns>False when the frame carries neither; nothing was written.</returns>
    public static bool TryComplete(Span<byte> frame)
    {
        if (!TransportHeader.TryFind(frame, out TransportHeader transport))
        {
            return false;
        }

        Complete(frame, transport);
        return true;
    }

    /// <summary>The same for a frame that was looked at.</summary>
    public static void Complete(Span<byte> frame, TransportHeader transport)
    {
        // What follows the IP packet in a short frame is padding.
        int length = Math.Min(frame.Length - transport.Offset, PacketLength(frame, transport) - (transport.Offset - transport.NetworkOffset));
        Span<byte> segment = frame.Slice(transport.Offset, Math.Max(length, transport.PayloadOffset - transport.Offset));
        Span<byte> field = segment.Slice(transport.ChecksumOffset, 2);
        field.Clear();
        ulong sum = Add(PseudoHeader(frame, transport, segment.Length), segment);
        ushort value = (ushort)~Fold(sum);

        // RFC 768: 0 says that there is none.
        BinaryPrimitives.WriteUInt16LittleEndian(field, value == 0 && !transport.IsTcp ? (ushort)0xffff : value);
    }

    /// <summary>Sum of the pseudo header: addresses, protocol, length.</summary>
    internal static ulong PseudoHeader(ReadOnlySpan<byte> frame, TransportHeader transport, int length)
    {
        ReadOnlySpan<byte> packet = frame[transport.NetworkOffset..];
        ulong sum = transport.IsV6 ? Add(0, packet.Slice(8, 32)) : Add(0, packet.Slice(12, 8));
        Span<byte> tail = stackalloc byte[8];
        tail.Clear();
        BinaryPrimitives.WriteUInt32BigEndian(tail, (uint)length);
        tail[7] = transport.IsTcp ? (byte)6 : (byte)17;
        return Add(sum, tail);
    }

    private static int PacketLength(ReadOnlySpan<byte> frame, TransportHeader transport)
    {
        ReadOnlySpan<byte> packet = frame[transport.NetworkOffset..];
        return transport.IsV6 ? 40 + BinaryPrimitives.ReadUInt16BigEndian(packet[4..]) : BinaryPrimitives.ReadUInt16BigEndian(packet[2..]);
    }
}
