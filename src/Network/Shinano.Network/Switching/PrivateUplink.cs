using System.Buffers.Binary;
using System.Net;
using Shinano.Network.Frames;

namespace Shinano.Network.Switching;

/// <summary>
/// A way out for one port: user-mode NAT, which knows a single guest. It gets what is for its own address, requests for the IP addresses that it answers
/// for, requests of DHCP, and announcements; all else stays on the bridge, where the other ports are.
/// </summary>
/// <param name="mac">Its address, the gateway's.</param>
/// <param name="addresses">IPv4 addresses that it answers for: gateway, name server.</param>
public abstract class PrivateUplink(MacAddress mac, IReadOnlyList<IPAddress> addresses)
{
    private readonly uint[] _addresses = [.. addresses.Select(address => BinaryPrimitives.ReadUInt32BigEndian(address.GetAddressBytes()))];

    /// <summary>Whether a frame of its port is for it, and for nobody else.</summary>
    public bool Takes(in EthernetHeader header, ReadOnlySpan<byte> frame)
    {
        if (header.Tag is not null)
        {
            return false;
        }

        if (!header.Destination.IsGroup)
        {
            return header.Destination == mac;
        }

        ReadOnlySpan<byte> packet = frame[header.PayloadOffset..];
        return header.Type switch
        {
            // RFC 826: the target's address is at 24.
            EthernetHeader.Arp => packet.Length >= 28 && Array.IndexOf(_addresses, BinaryPrimitives.ReadUInt32BigEndian(packet[24..])) >= 0,
            EthernetHeader.IpV4 => IsDhcpRequest(packet),
            _ => false,
        };
    }

    /// <summary>Whether a frame of its port is for it as well as for everybody: the announcement of a guest that was moved.</summary>
    public static bool Hears(in EthernetHeader header) => header is { Tag: null, Type: EthernetHeader.Rarp } && header.Destination == MacAddress.Broadcast;

    /// <summary>Queues a frame; false when there is no room. Any thread; never waits.</summary>
    public abstract bool TrySend(ReadOnlySpan<byte> frame, FrameOffload offload);

    private static bool IsDhcpRequest(ReadOnlySpan<byte> packet)
    {
        int size = packet.Length >= 20 ? (packet[0] & 15) * 4 : 0;
        return size >= 20 && packet[9] == 17 && packet.Length >= size + 8 && BinaryPrimitives.ReadUInt16BigEndian(packet[(size + 2)..]) == 67;
    }
}
