using System.Security.Cryptography;

namespace Shinano.Network.Link;

/// <summary>The first bytes on a link: a magic word and the vnic's token; the switch answers with the magic word, or closes.</summary>
public static class LinkHello
{
    /// <summary>Bytes of a token.</summary>
    public const int TokenSize = 32;

    /// <summary>Bytes that the domain process sends.</summary>
    public const int Size = 8 + TokenSize;

    /// <summary>Bytes that the switch answers.</summary>
    public const int AnswerSize = 8;

    /// <summary>Begins both.</summary>
    public static ReadOnlySpan<byte> Magic => "SHNLINK1"u8;

    /// <summary>A new token, as hexadecimal digits.</summary>
    public static string CreateToken() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(TokenSize));

    /// <summary>Writes the bytes of a domain process.</summary>
    /// <exception cref="FormatException">The token is none.</exception>
    public static byte[] Write(string token)
    {
        byte[] bytes = Convert.FromHexString(token);
        return bytes.Length == TokenSize ? [.. Magic, .. bytes] : throw new FormatException("a vnic's token has 64 hexadecimal digits");
    }

    /// <summary>The token in what a peer sent; null when it is no hello.</summary>
    public static string? Read(ReadOnlySpan<byte> hello) =>
        hello.Length == Size && hello[..8].SequenceEqual(Magic) ? Convert.ToHexStringLower(hello[8..]) : null;
}
