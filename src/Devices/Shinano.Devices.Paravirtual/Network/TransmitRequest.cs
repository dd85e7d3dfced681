using System.Buffers.Binary;

namespace Shinano.Devices.Paravirtual.Network;

/// <summary>A slot of the transmit ring, copied. Nothing in it has been checked.</summary>
/// <param name="Reference">Grant reference.</param>
/// <param name="Offset">In the page.</param>
/// <param name="Flags">NETTXF_*.</param>
/// <param name="Id">To be answered with.</param>
/// <param name="Size">Bytes: of the packet in its first slot, of the slot in the others.</param>
internal readonly record struct TransmitRequest(uint Reference, ushort Offset, ushort Flags, ushort Id, ushort Size)
{
    public bool HasMore => (Flags & NetAbi.MoreData) != 0;

    public bool HasExtra => (Flags & NetAbi.ExtraInfo) != 0;

    public static TransmitRequest Read(ReadOnlySpan<byte> entry) => new(
        BinaryPrimitives.ReadUInt32LittleEndian(entry),
        BinaryPrimitives.ReadUInt16LittleEndian(entry[4..]),
        BinaryPrimitives.ReadUInt16LittleEndian(entry[6..]),
        BinaryPrimitives.ReadUInt16LittleEndian(entry[8..]),
        BinaryPrimitives.ReadUInt16LittleEndian(entry[10..]));
}
