using System.Buffers.Binary;

namespace Shinano.Network.Frames;

/// <summary>The answer of a host without a listener to one that asks for a TCP connection. Source: RFC 9293 §3.10.7.1. Pure.</summary>
public static class ConnectionRefusal
{
    /// <summary>Bytes of an answer: Ethernet, IPv4 without options, TCP without options.</summary>
    public const int Size = EthernetHeader.Size + IpSize + TcpSize;

    private const int IpSize = 20;
    private const int TcpSize = 20;
    private const byte Syn = 0x02;
    private const byte Rst = 0x04;
    private const byte Ack = 0x10;

    /// <summary>Makes the answer to a frame.</summary>
    /// <param name="answer">At least <see cref="Size"/> bytes; the first are written.</param>
    /// <returns>False when the frame asks for no connection over IPv4.</returns>
    public static bool TryAnswer(ReadOnlySpan<byte> frame, Span<byte> answer)
    {
        if (!TransportHeader.TryFind(frame, out TransportHeader transport) || !transport.IsTcp || transport.IsV6 || transport.NetworkOffset != EthernetHeader.Size)
        {
            return false;
        }

        ReadOnlySpan<byte> packet = frame[transport.NetworkOffset..];
        ReadOnlySpan<byte> asked = frame[transport.Offset..];
        if ((asked[13] & (Syn | Ack | Rst)) != Syn)
        {
            return false;
        }

        answer = answer[..Size];
        answer.Clear();

        // Back to where it came from, at each layer.
        frame.Slice(6, 6).CopyTo(answer);
        frame[..6].CopyTo(answer[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(answer[12..], EthernetHeader.IpV4);
        Span<byte> ip = answer.Slice(EthernetHeader.Size, IpSize);
        ip[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], IpSize + TcpSize);
        ip[8] = 64;
        ip[9] = packet[9];
        packet.Slice(16, 4).CopyTo(ip[12..]);
        packet.Slice(12, 4).CopyTo(ip[16..]);
        InternetChecksum.WriteIpV4(ip);
        Span<byte> tcp = answer[(EthernetHeader.Size + IpSize)..];
        asked.Slice(2, 2).CopyTo(tcp);
        asked[..2].CopyTo(tcp[2..]);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[8..], BinaryPrimitives.ReadUInt32BigEndian(asked[4..]) + 1);
        tcp[12] = TcpSize / 4 << 4;
        tcp[13] = Rst | Ack;
        return InternetChecksum.TryComplete(answer);
    }
}
