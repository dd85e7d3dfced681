using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Shinano.Network.Frames;

namespace Shinano.Network.Switching;

/// <summary>Keeps a vnic from sending as another: its own Ethernet address only and, when addresses are named, these IP addresses only. Pure.</summary>
/// <param name="mac">The vnic's.</param>
/// <param name="addresses">Its IP addresses; none: all are allowed.</param>
public sealed class SourceGuard(MacAddress mac, IReadOnlyList<IPAddress> addresses)
{
    private readonly uint[] _v4 = [.. addresses.Where(a => a.AddressFamily == AddressFamily.InterNetwork).Select(a => BinaryPrimitives.ReadUInt32BigEndian(a.GetAddressBytes()))];
    private readonly byte[][] _v6 = [.. addresses.Where(a => a.AddressFamily == AddressFamily.InterNetworkV6).Select(a => a.GetAddressBytes())];

    /// <summary>Whether a frame may pass.</summary>
    public bool Allows(in EthernetHeader header, ReadOnlySpan<byte> frame) =>
        header.Source == mac && (addresses.Count == 0 || AllowsAddress(header, frame[header.PayloadOffset..]));

    private bool AllowsAddress(in EthernetHeader header, ReadOnlySpan<byte> packet)
    {
        switch (header.Type)
        {
            case EthernetHeader.IpV4:
                return packet.Length >= 20 && (IsOwn(packet[12..]) || IsDhcp(packet));

            case EthernetHeader.Arp or EthernetHeader.Rarp:
                // RFC 826: addresses of hardware and protocol of the sender. RFC 5227 §2.1.1: a probe has none.
                return packet.Length >= 28 && MacAddress.Read(packet[8..]) == mac && (IsOwn(packet[14..]) || BinaryPrimitives.ReadUInt32BigEndian(packet[14..]) == 0);

            case EthernetHeader.IpV6:
                return packet.Length >= 40 && IsOwnV6(packet.Slice(8, 16));

            default:
                // No other protocol says whose it is.
                return false;
        }
    }

    private bool IsOwn(ReadOnlySpan<byte> address) => Array.IndexOf(_v4, BinaryPrimitives.ReadUInt32BigEndian(address)) >= 0;

    private bool IsOwnV6(ReadOnlySpan<byte> address)
    {
        // Link-local and unspecified: neighbour discovery needs them.
        bool isOwn = (address[0] == 0xfe && (address[1] & 0xc0) == 0x80) || !address.ContainsAnyExcept((byte)0);
        foreach (byte[] one in _v6)
        {
            isOwn |= address.SequenceEqual(one);
        }

        return isOwn;
    }

    /// <summary>From nobody, port 68, to port 67: a client that asks for its address. Source: RFC 2131 §4.1.</summary>
    private static bool IsDhcp(ReadOnlySpan<byte> packet)
    {
        int size = (packet[0] & 15) * 4;
        return BinaryPrimitives.ReadUInt32BigEndian(packet[12..]) == 0 && packet[9] == 17 && size >= 20 && packet.Length >= size + 8
            && BinaryPrimitives.ReadUInt16BigEndian(packet[size..]) == 68 && BinaryPrimitives.ReadUInt16BigEndian(packet[(size + 2)..]) == 67;
    }
}
