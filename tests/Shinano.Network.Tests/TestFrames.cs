using System.Buffers.Binary;
using System.Net;
using Shinano.Network.Frames;

namespace Shinano.Network.Tests;

/// <summary>Makes frames.</summary>
internal static class TestFrames
{
    public static readonly MacAddress A = new(0x00163e000001);
    public static readonly MacAddress B = new(0x00163e000002);
    public static readonly MacAddress C = new(0x00163e000003);

    public static byte[] Ethernet(MacAddress source, MacAddress destination, ushort type, ReadOnlySpan<byte> payload, ushort? tag = null)
    {
        byte[] frame = new byte[14 + (tag is null ? 0 : 4) + payload.Length];
        destination.Write(frame);
        source.Write(frame.AsSpan(6));
        int at = 12;
        if (tag is { } control)
        {
            BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), 0x8100);
            BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(14), control);
            at = 16;
        }

        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(at), type);
        payload.CopyTo(frame.AsSpan(at + 2));
        return frame;
    }

    public static byte[] Plain(MacAddress source, MacAddress destination, ushort? tag = null) => Ethernet(source, destination, 0x88b5, new byte[50], tag);

    public static byte[] Arp(MacAddress source, string sender, string target)
    {
        byte[] arp = new byte[28];
        new byte[] { 0, 1, 8, 0, 6, 4, 0, 1 }.CopyTo(arp, 0);
        source.Write(arp.AsSpan(8));
        IPAddress.Parse(sender).GetAddressBytes().CopyTo(arp, 14);
        IPAddress.Parse(target).GetAddressBytes().CopyTo(arp, 24);
        return Ethernet(source, MacAddress.Broadcast, EthernetHeader.Arp, arp);
    }

    /// <summary>A UDP datagram, with a right checksum.</summary>
    public static byte[] Udp(MacAddress source, MacAddress destination, string from, string to, ushort fromPort, ushort toPort, byte[] payload)
    {
        byte[] packet = IpV4(from, to, 17, 8 + payload.Length);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(20), fromPort);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(22), toPort);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(24), (ushort)(8 + payload.Length));
        payload.CopyTo(packet, 28);
        byte[] frame = Ethernet(source, destination, EthernetHeader.IpV4, packet);
        InternetChecksum.TryComplete(frame);
        return frame;
    }

    /// <summary>A TCP segment of any length, with a right checksum.</summary>
    public static byte[] Tcp(byte[] payload, uint sequence = 1000, byte flags = 0x19, bool isV6 = false)
    {
        byte[] packet;
        int tcp;
        if (isV6)
        {
            tcp = 40;
            packet = new byte[40 + 20 + payload.Length];
            packet[0] = 0x60;
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)(20 + payload.Length));
            packet[6] = 6;
            IPAddress.Parse("fe80::1").GetAddressBytes().CopyTo(packet, 8);
            IPAddress.Parse("fe80::2").GetAddressBytes().CopyTo(packet, 24);
        }
        else
        {
            tcp = 20;
            packet = IpV4("10.0.0.1", "10.0.0.2", 6, 20 + payload.Length);
        }

        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(tcp), 1234);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(tcp + 2), 80);
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(tcp + 4), sequence);
        packet[tcp + 12] = 0x50;
        packet[tcp + 13] = flags;
        payload.CopyTo(packet, tcp + 20);
        byte[] frame = Ethernet(A, B, isV6 ? EthernetHeader.IpV6 : EthernetHeader.IpV4, packet);
        InternetChecksum.TryComplete(frame);
        return frame;
    }

    private static byte[] IpV4(string from, string to, byte protocol, int length)
    {
        byte[] packet = new byte[20 + length];
        packet[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
        packet[8] = 64;
        packet[9] = protocol;
        IPAddress.Parse(from).GetAddressBytes().CopyTo(packet, 12);
        IPAddress.Parse(to).GetAddressBytes().CopyTo(packet, 16);
        InternetChecksum.WriteIpV4(packet.AsSpan(0, 20));
        return packet;
    }
}
