using System.Buffers.Binary;
using Shinano.Network.Frames;

namespace Shinano.Devices.Paravirtual.Network;

/// <summary>Layout of ring entries. Source: public/io/netif.h.</summary>
/// <remarks>
/// <code>
/// transmit request    0 grant reference u32   4 offset u16   6 flags u16   8 id u16   10 size u16       entry 12
/// transmit response   0 id u16   2 status s16
/// receive request     0 id u16   4 grant reference u32                                                    entry 8
/// receive response    0 id u16   2 offset u16   4 flags u16   6 status s16 (bytes, or an error)
/// extra               0 type u8   1 flags u8   2 GSO: size u16, type u8; multicast: address                    in an entry of either ring
/// </code>
/// </remarks>
internal static class NetAbi
{
    public const int TransmitEntrySize = 12;
    public const int ReceiveEntrySize = 8;
    public const int ResponseSize = 4;

    // NETTXF_* and NETRXF_* exchange the meaning of the two lowest bits.
    public const ushort TransmitChecksumBlank = 1;
    public const ushort TransmitDataValidated = 2;
    public const ushort ReceiveDataValidated = 1;
    public const ushort ReceiveChecksumBlank = 2;
    public const ushort MoreData = 4;
    public const ushort ExtraInfo = 8;

    // XEN_NETIF_EXTRA_TYPE_*, XEN_NETIF_EXTRA_FLAG_MORE.
    public const byte ExtraGso = 1;
    public const byte ExtraMulticastAdd = 2;
    public const byte ExtraMulticastDelete = 3;
    public const byte ExtraHash = 4;
    public const byte ExtraMore = 1;

    // NETIF_RSP_*.
    public const short Dropped = -2;
    public const short Error = -1;
    public const short Okay = 0;
    public const short Null = 1;

    /// <summary>Slots that a packet may have. Linux's back end takes 20 before it calls it an attack; XEN_NETIF_NR_SLOTS_MIN is 18.</summary>
    public const int MaximumSlots = 20;

    /// <summary>Writes a transmit response.</summary>
    public static void WriteTransmitResponse(Span<byte> place, ushort id, short status)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(place, id);
        BinaryPrimitives.WriteInt16LittleEndian(place[2..], status);
    }

    /// <summary>Writes a receive response.</summary>
    public static void WriteReceiveResponse(Span<byte> place, ushort id, ushort flags, short status)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(place, id);
        BinaryPrimitives.WriteUInt16LittleEndian(place[2..], 0);
        BinaryPrimitives.WriteUInt16LittleEndian(place[4..], flags);
        BinaryPrimitives.WriteInt16LittleEndian(place[6..], status);
    }

    /// <summary>Writes an extra of GSO.</summary>
    public static void WriteGso(Span<byte> place, FrameOffload offload)
    {
        place[..ReceiveEntrySize].Clear();
        place[0] = ExtraGso;
        BinaryPrimitives.WriteUInt16LittleEndian(place[2..], offload.SegmentSize);
        place[4] = (byte)offload.Gso;
    }
}
