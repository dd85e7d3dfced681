using System.Buffers.Binary;

namespace Shinano.XenStore.Protocol;

/// <summary>
/// The fixed part of each message. Source: public/io/xs_wire.h: struct xsd_sockmsg.
/// </summary>
/// <remarks>
/// <code>
/// 0        4        8        12       16
/// | type   | req_id | tx_id  | len    | len bytes of payload
/// </code>
/// Little-endian, as x86 is.
/// </remarks>
/// <param name="Operation">What is asked or answered; may be a number without a meaning.</param>
/// <param name="RequestId">Chosen by the client, echoed in the reply; 0 in a watch event.</param>
/// <param name="TransactionId">0 outside a transaction.</param>
/// <param name="Length">Bytes of payload.</param>
public readonly record struct XenStoreHeader(XenStoreOperation Operation, uint RequestId, uint TransactionId, uint Length)
{
    /// <summary>Reads a header from the first 16 bytes. Any bytes make a header; the caller checks the length.</summary>
    public static XenStoreHeader Read(ReadOnlySpan<byte> source) => new(
        (XenStoreOperation)BinaryPrimitives.ReadUInt32LittleEndian(source),
        BinaryPrimitives.ReadUInt32LittleEndian(source[4..]),
        BinaryPrimitives.ReadUInt32LittleEndian(source[8..]),
        BinaryPrimitives.ReadUInt32LittleEndian(source[12..]));

    /// <summary>Writes 16 bytes.</summary>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(destination, (uint)Operation);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], RequestId);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], TransactionId);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], Length);
    }
}
