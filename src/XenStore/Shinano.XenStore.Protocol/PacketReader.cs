namespace Shinano.XenStore.Protocol;

/// <summary>
/// Cuts a byte stream into messages. Holds at most one incomplete message (<see cref="XenStoreLimits.MaximumMessage"/> bytes),
/// whatever the peer sends. Not thread-safe.
/// </summary>
public sealed class PacketReader
{
    private readonly byte[] headerBytes = new byte[XenStoreLimits.HeaderSize];
    private byte[]? message;
    private XenStoreHeader header;
    private int filled;
    private bool malformed;

    /// <summary>True when no part of a message is held: the stream may end here.</summary>
    public bool AtBoundary => filled == 0 && !malformed;

    /// <summary>A copy of the part of a message that is held.</summary>
    public byte[] Held() => (message ?? headerBytes)[..filled];

    /// <summary>Takes bytes from the front of the input until a message is whole or the input is empty.</summary>
    /// <param name="input">Advanced past what was taken.</param>
    /// <param name="packet">The message when the result is <see cref="PacketReadStatus.Packet"/>, else null.</param>
    public PacketReadStatus Read(ref ReadOnlySpan<byte> input, out XenStorePacket? packet)
    {
        packet = null;
        if (malformed)
        {
            return PacketReadStatus.Malformed;
        }

        if (message is null)
        {
            filled += Take(ref input, headerBytes.AsSpan(filled));
            if (filled < XenStoreLimits.HeaderSize)
            {
                return PacketReadStatus.NeedMore;
            }

            header = XenStoreHeader.Read(headerBytes);
            if (header.Length > XenStoreLimits.MaximumPayload)
            {
                malformed = true;
                return PacketReadStatus.Malformed;
            }

            message = new byte[XenStoreLimits.HeaderSize + (int)header.Length];
            headerBytes.CopyTo(message, 0);
        }

        filled += Take(ref input, message.AsSpan(filled));
        if (filled < message.Length)
        {
            return PacketReadStatus.NeedMore;
        }

        packet = XenStorePacket.FromMessage(header, message);
        message = null;
        filled = 0;
        return PacketReadStatus.Packet;
    }

    private static int Take(ref ReadOnlySpan<byte> input, Span<byte> destination)
    {
        int count = Math.Min(input.Length, destination.Length);
        input[..count].CopyTo(destination);
        input = input[count..];
        return count;
    }
}
