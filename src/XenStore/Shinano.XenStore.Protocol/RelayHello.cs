using System.Buffers.Binary;
using Shinano.XenAbi;

namespace Shinano.XenStore.Protocol;

/// <summary>
/// What a domain process sends first on a relay connection. After the answer, messages of the wire protocol follow in both
/// directions, as the domain put them on its ring and as they go back onto it.
/// </summary>
/// <remarks>
/// <code>
/// 0              8        12        16       20               36
/// | "SHXSRLY2"   | domid  | replays | count  | token, 16 bytes | count transaction ids, 4 bytes each
/// </code>
/// Little-endian. <c>replays</c>: how many of the messages that follow may have been carried out already, over a connection
/// that broke before the answer arrived. The transaction ids are those the guest believes to be open.
/// </remarks>
/// <param name="Domain">Whose ring it is.</param>
/// <param name="Token">Shows that the sender is the process of that domain.</param>
/// <param name="Replays">Number of leading requests that may be repetitions.</param>
/// <param name="OpenTransactions">Transactions the guest has started and not ended.</param>
public sealed record RelayHello(DomainId Domain, RelayToken Token, uint Replays, IReadOnlyList<uint> OpenTransactions)
{
    /// <summary>Bytes before the transaction ids.</summary>
    public const int FixedSize = TokenOffset + RelayToken.Size;

    /// <summary>The most transactions a hello may list; more than any quota lets a domain have.</summary>
    public const int MaximumTransactions = 1024;

    private const int TokenOffset = 20;

    internal static ReadOnlySpan<byte> Magic => "SHXSRLY2"u8;

    public byte[] ToBytes()
    {
        byte[] bytes = new byte[FixedSize + (4 * OpenTransactions.Count)];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), Domain.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), Replays);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(16), (uint)OpenTransactions.Count);
        Token.CopyTo(bytes.AsSpan(TokenOffset));
        for (int i = 0; i < OpenTransactions.Count; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(FixedSize + (4 * i)), OpenTransactions[i]);
        }

        return bytes;
    }

    /// <summary>Reads a hello from the front of the input; takes nothing unless it is whole.</summary>
    /// <param name="input">Advanced past the hello when the result is <see cref="PacketReadStatus.Packet"/>.</param>
    /// <param name="hello">The hello when it is whole, else null.</param>
    public static PacketReadStatus TryRead(ref ReadOnlySpan<byte> input, out RelayHello? hello)
    {
        hello = null;
        if (!Magic.StartsWith(input[..Math.Min(input.Length, Magic.Length)]))
        {
            return PacketReadStatus.Malformed;
        }

        if (input.Length < FixedSize)
        {
            return PacketReadStatus.NeedMore;
        }

        uint domain = BinaryPrimitives.ReadUInt32LittleEndian(input[8..]);
        uint replays = BinaryPrimitives.ReadUInt32LittleEndian(input[12..]);
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(input[16..]);
        if (domain is 0 or >= DomainId.FirstReserved || count > MaximumTransactions)
        {
            return PacketReadStatus.Malformed;
        }

        int size = FixedSize + (4 * (int)count);
        if (input.Length < size)
        {
            return PacketReadStatus.NeedMore;
        }

        uint[] transactions = new uint[count];
        for (int i = 0; i < transactions.Length; i++)
        {
            transactions[i] = BinaryPrimitives.ReadUInt32LittleEndian(input[(FixedSize + (4 * i))..]);
        }

        hello = new RelayHello(new DomainId((ushort)domain), RelayToken.Of(input.Slice(TokenOffset, RelayToken.Size)), replays, transactions);
        input = input[size..];
        return PacketReadStatus.Packet;
    }
}
