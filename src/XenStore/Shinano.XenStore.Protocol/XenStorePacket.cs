using System.Text;

namespace Shinano.XenStore.Protocol;

/// <summary>One whole message: a header and its payload. Immutable; owns its bytes.</summary>
public sealed class XenStorePacket
{
    private readonly byte[] message;

    private XenStorePacket(XenStoreHeader header, byte[] message)
    {
        Header = header;
        this.message = message;
    }

    public XenStoreHeader Header { get; }

    public XenStoreOperation Operation => Header.Operation;

    /// <summary>The bytes after the header.</summary>
    public ReadOnlySpan<byte> Payload => message.AsSpan(XenStoreLimits.HeaderSize);

    /// <summary>The same bytes as memory, for a value that outlives the call.</summary>
    public ReadOnlyMemory<byte> PayloadMemory => message.AsMemory(XenStoreLimits.HeaderSize);

    /// <summary>Header and payload as they travel.</summary>
    public ReadOnlyMemory<byte> Message => message;

    /// <summary>Builds a message.</summary>
    /// <exception cref="ArgumentException">The payload is larger than <see cref="XenStoreLimits.MaximumPayload"/>.</exception>
    public static XenStorePacket Create(XenStoreOperation operation, uint requestId, uint transactionId, ReadOnlySpan<byte> payload)
    {
        if (payload.Length > XenStoreLimits.MaximumPayload)
        {
            throw new ArgumentException(
                $"A payload of {payload.Length} bytes exceeds XENSTORE_PAYLOAD_MAX ({XenStoreLimits.MaximumPayload}).", nameof(payload));
        }

        var header = new XenStoreHeader(operation, requestId, transactionId, (uint)payload.Length);
        byte[] message = new byte[XenStoreLimits.HeaderSize + payload.Length];
        header.Write(message);
        payload.CopyTo(message.AsSpan(XenStoreLimits.HeaderSize));
        return new XenStorePacket(header, message);
    }

    /// <summary>Builds the answer that refuses a request: docs/misc/xenstore.txt: ERROR E&lt;something&gt;|.</summary>
    public static XenStorePacket CreateError(XenStoreHeader request, XenStoreError error) =>
        Create(XenStoreOperation.Error, request.RequestId, request.TransactionId, Encoding.ASCII.GetBytes(error.ToWireName() + "\0"));

    /// <summary>Takes over a complete message; the caller has checked that the header's length is the payload's.</summary>
    internal static XenStorePacket FromMessage(XenStoreHeader header, byte[] message) => new(header, message);
}
