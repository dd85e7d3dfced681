using System.Buffers.Binary;

namespace Shinano.Network.Frames;

/// <summary>The addresses, the tag and the type of an Ethernet frame. Nothing in it has been checked but that it is there.</summary>
/// <param name="Destination">Receiver.</param>
/// <param name="Source">Sender, as it says.</param>
/// <param name="Tag">Tag control information of an IEEE 802.1Q tag; null without one.</param>
/// <param name="Type">EtherType of what follows.</param>
/// <param name="PayloadOffset">Where that begins.</param>
public readonly record struct EthernetHeader(MacAddress Destination, MacAddress Source, ushort? Tag, ushort Type, int PayloadOffset)
{
    /// <summary>Bytes of a header without a tag.</summary>
    public const int Size = 14;

    /// <summary>Bytes that a tag takes.</summary>
    public const int TagSize = 4;

    // IEEE 802 numbers of IANA.
    public const ushort IpV4 = 0x0800;
    public const ushort Arp = 0x0806;
    public const ushort IpV6 = 0x86dd;

    /// <summary>Reverse ARP, by which a place on the network is announced (<see cref="Announcement"/>).</summary>
    public const ushort Rarp = 0x8035;
    private const ushort TaggedFrame = 0x8100;

    /// <summary>VLAN of the tag, 0 without one and for a tag that carries a priority only. Source: IEEE 802.1Q §9.6.</summary>
    public ushort Vlan => (ushort)((Tag ?? 0) & 0xfff);

    /// <summary>Reads a header; false when the frame is too short for one.</summary>
    public static bool TryRead(ReadOnlySpan<byte> frame, out EthernetHeader header)
    {
        header = default;
        if (frame.Length < Size)
        {
            return false;
        }

        ushort type = BinaryPrimitives.ReadUInt16BigEndian(frame[12..]);
        ushort? tag = null;
        int offset = Size;
        if (type == TaggedFrame)
        {
            if (frame.Length < Size + TagSize)
            {
                return false;
            }

            tag = BinaryPrimitives.ReadUInt16BigEndian(frame[14..]);
            type = BinaryPrimitives.ReadUInt16BigEndian(frame[16..]);
            offset += TagSize;
        }

        header = new EthernetHeader(MacAddress.Read(frame), MacAddress.Read(frame[6..]), tag, type, offset);
        return true;
    }

    /// <summary>Copies a frame with its tag set, changed or taken away.</summary>
    /// <param name="frame">With or without a tag; <see cref="TryRead"/> took it.</param>
    /// <param name="vlan">0: without a tag.</param>
    /// <param name="destination">At least <see cref="TagSize"/> longer than the frame.</param>
    /// <returns>Bytes written.</returns>
    public int CopyWithVlan(ReadOnlySpan<byte> frame, ushort vlan, Span<byte> destination)
    {
        frame[..12].CopyTo(destination);
        int at = 12;
        if (vlan != 0)
        {
            BinaryPrimitives.WriteUInt16BigEndian(destination[at..], TaggedFrame);

            // Priority and drop eligibility stay.
            BinaryPrimitives.WriteUInt16BigEndian(destination[(at + 2)..], (ushort)(((Tag ?? 0) & 0xf000) | vlan));
            at += TagSize;
        }

        ReadOnlySpan<byte> rest = frame[(PayloadOffset - 2)..];
        rest.CopyTo(destination[at..]);
        return at + rest.Length;
    }
}
