using System.Buffers.Binary;

namespace Shinano.XenStore.Protocol;

/// <summary>The bytes of a <see cref="RelayHelloAnswer"/>.</summary>
public static class RelayHelloAnswerCodec
{
    /// <summary>Bytes of an answer.</summary>
    public const int Size = 12;

    public static byte[] ToBytes(RelayHelloAnswer answer)
    {
        byte[] bytes = new byte[Size];
        RelayHello.Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), (uint)answer);
        return bytes;
    }

    /// <summary>Reads exactly <see cref="Size"/> bytes. False when they are not an answer.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out RelayHelloAnswer answer)
    {
        answer = RelayHelloAnswer.Malformed;
        if (bytes.Length != Size || !bytes.StartsWith(RelayHello.Magic))
        {
            return false;
        }

        answer = (RelayHelloAnswer)BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        return Enum.IsDefined(answer);
    }
}
