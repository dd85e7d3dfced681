using System.Buffers.Binary;
using Shinano.XenAbi;

namespace Shinano.XenStore.Protocol;

/// <summary>
/// What a domain process sends first on a connection of its back ends, over the relay socket. The answer is a <see cref="RelayHelloAnswer"/>; after it come
/// messages of the wire protocol, with the few rights of <c>BackEndScope</c> in the server.
/// </summary>
/// <remarks>
/// <code>
/// 0              8        12               28
/// | "SHXSBCK1"   | domid  | token, 16 bytes |
/// </code>
/// Little-endian.
/// </remarks>
/// <param name="Domain">The domain whose devices these back ends serve.</param>
/// <param name="Token">Shows that the sender is the process of that domain.</param>
public sealed record BackEndHello(DomainId Domain, RelayToken Token)
{
    /// <summary>Bytes of the hello.</summary>
    public const int Size = TokenOffset + RelayToken.Size;

    private const int TokenOffset = 12;

    private static ReadOnlySpan<byte> Magic => "SHXSBCK1"u8;

    public byte[] ToBytes()
    {
        byte[] bytes = new byte[Size];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), Domain.Value);
        Token.CopyTo(bytes.AsSpan(TokenOffset));
        return bytes;
    }

    /// <summary>Reads a hello from the front of the input; takes nothing unless it is whole.</summary>
    /// <param name="input">Advanced past the hello when the result is <see cref="PacketReadStatus.Packet"/>.</param>
    /// <param name="hello">The hello when it is whole, else null.</param>
    public static PacketReadStatus TryRead(ref ReadOnlySpan<byte> input, out BackEndHello? hello)
    {
        hello = null;
        if (!Magic.StartsWith(input[..Math.Min(input.Length, Magic.Length)]))
        {
            return PacketReadStatus.Malformed;
        }

        if (input.Length < Size)
        {
            return PacketReadStatus.NeedMore;
        }

        uint domain = BinaryPrimitives.ReadUInt32LittleEndian(input[8..]);
        if (domain is 0 or >= DomainId.FirstReserved)
        {
            return PacketReadStatus.Malformed;
        }

        hello = new BackEndHello(new DomainId((ushort)domain), RelayToken.Of(input.Slice(TokenOffset, RelayToken.Size)));
        input = input[Size..];
        return PacketReadStatus.Packet;
    }
}
