using System.Buffers.Binary;

namespace Shinano.Network.Frames;

/// <summary>Where TCP or UDP lies in a frame; found with bounds checked, extension headers of IPv6 followed up to a number of them.</summary>
/// <param name="IsV6">Over IPv6.</param>
/// <param name="NetworkOffset">Of the IP header.</param>
/// <param name="Offset">Of the TCP or UDP header.</param>
/// <param name="IsTcp">TCP, else UDP.</param>
/// <param name="PayloadOffset">Behind the TCP or UDP header.</param>
public readonly record struct TransportHeader(bool IsV6, int NetworkOffset, int Offset, bool IsTcp, int PayloadOffset)
{
    private const byte Tcp = 6;
    private const byte Udp = 17;
    private const int MostExtensions = 8;

    /// <summary>Offset of the checksum from the beginning of the header. Source: RFC 9293 §3.1, RFC 768.</summary>
    public int ChecksumOffset => IsTcp ? 16 : 6;

    /// <summary>Looks for it; false for other protocols, fragments, and what is cut short.</summary>
    public static bool TryFind(ReadOnlySpan<byte> frame, out TransportHeader header)
    {
        header = default;
        if (!EthernetHeader.TryRead(frame, out EthernetHeader ethernet))
        {
            return false;
        }

        int network = ethernet.PayloadOffset;
        ReadOnlySpan<byte> packet = frame[network..];
        int transport;
        byte protocol;
        bool isV6 = ethernet.Type == EthernetHeader.IpV6;
        if (isV6)
        {
            if (!TryFollowExtensions(packet, out transport, out protocol))
            {
                return false;
            }
        }
        else if (ethernet.Type == EthernetHeader.IpV4 && packet.Length >= 20 && packet[0] >> 4 == 4)
        {
            transport = (packet[0] & 15) * 4;
            protocol = packet[9];

            // RFC 791 §3.1: more fragments, or an offset.
            if (transport < 20 || (BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x3fff) != 0)
            {
                return false;
            }
        }
        else
        {
            return false;
        }

        int minimum = protocol == Tcp ? 20 : 8;
        if (protocol is not (Tcp or Udp) || packet.Length < transport + minimum)
        {
            return false;
        }

        int size = protocol == Tcp ? (packet[transport + 12] >> 4) * 4 : 8;
        if (size < minimum || packet.Length < transport + size)
        {
            return false;
        }

        header = new TransportHeader(isV6, network, network + transport, protocol == Tcp, network + transport + size);
        return true;
    }

    private static bool TryFollowExtensions(ReadOnlySpan<byte> packet, out int offset, out byte protocol)
    {
        offset = 40;
        protocol = 0;
        if (packet.Length < 40 || packet[0] >> 4 != 6)
        {
            return false;
        }

        protocol = packet[6];
        for (int i = 0; i < MostExtensions; i++)
        {
            // RFC 8200 §4: hop-by-hop options, routing, destination options. A fragment has no checksum of its own.
            if (protocol is not (0 or 43 or 60))
            {
                return protocol != 44;
            }

            if (packet.Length < offset + 8)
            {
                return false;
            }

            protocol = packet[offset];
            offset += (packet[offset + 1] + 1) * 8;
        }

        return false;
    }
}
