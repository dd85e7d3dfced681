using System.Security.Cryptography;

namespace Shinano.XenStore.Protocol;

/// <summary>
/// What a domain process shows to speak for its domain: random bytes that xend gave to it alone. Immutable.
/// </summary>
public sealed class RelayToken
{
    /// <summary>Bytes of a token.</summary>
    public const int Size = 16;

    private readonly byte[] bytes;

    private RelayToken(byte[] bytes) => this.bytes = bytes;

    /// <summary>A token that nobody can guess.</summary>
    public static RelayToken Create() => new(RandomNumberGenerator.GetBytes(Size));

    /// <summary>The token of exactly <see cref="Size"/> bytes, which are copied.</summary>
    public static RelayToken Of(ReadOnlySpan<byte> bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(bytes.Length, Size);
        return new RelayToken(bytes.ToArray());
    }

    /// <summary>Reads what <see cref="ToText"/> gives; null for anything else.</summary>
    public static RelayToken? TryParse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        byte[] bytes = new byte[Size];
        return Convert.FromHexString(text, bytes, out int used, out int written) == System.Buffers.OperationStatus.Done && used == text.Length && written == Size
            ? new RelayToken(bytes)
            : null;
    }

    /// <summary>Hexadecimal digits.</summary>
    public string ToText() => Convert.ToHexStringLower(bytes);

    /// <summary>Whether both are the same, in a time that does not tell where they differ.</summary>
    public bool Matches(RelayToken other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return CryptographicOperations.FixedTimeEquals(bytes, other.bytes);
    }

    /// <summary>Not the token: it would end in logs.</summary>
    public override string ToString() => "(token)";

    internal void CopyTo(Span<byte> destination) => bytes.CopyTo(destination);
}
