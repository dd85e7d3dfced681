using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;

namespace Shinano.Network.Frames;

/// <summary>An Ethernet address.</summary>
/// <param name="Value">Its 48 bits, the first byte on the wire highest.</param>
public readonly record struct MacAddress(ulong Value)
{
    /// <summary>Bytes of an address.</summary>
    public const int Size = 6;

    /// <summary>Xen's organisationally unique identifier, from which toolstacks make addresses.</summary>
    private const ulong XenPrefix = 0x00163eUL << 24;

    /// <summary>ff:ff:ff:ff:ff:ff.</summary>
    public static MacAddress Broadcast => new(0xffff_ffff_ffff);

    /// <summary>The group bit: multicast, or broadcast.</summary>
    public bool IsGroup => (Value & (1UL << 40)) != 0;

    /// <summary>Reads six bytes.</summary>
    public static MacAddress Read(ReadOnlySpan<byte> bytes) =>
        new(((ulong)BinaryPrimitives.ReadUInt16BigEndian(bytes) << 32) | BinaryPrimitives.ReadUInt32BigEndian(bytes[2..]));

    /// <summary>A random address under 00:16:3e.</summary>
    public static MacAddress CreateXen() => new(XenPrefix | (uint)RandomNumberGenerator.GetInt32(1 << 24));

    /// <summary>Reads "00:16:3e:12:34:56", also with one digit in a byte and with dashes.</summary>
    public static bool TryParse(string? text, out MacAddress address)
    {
        address = default;
        string[] parts = (text ?? "").Split(':', '-');
        if (parts.Length != Size)
        {
            return false;
        }

        ulong value = 0;
        foreach (string part in parts)
        {
            if (part.Length is 0 or > 2 || !byte.TryParse(part, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte one))
            {
                return false;
            }

            value = (value << 8) | one;
        }

        address = new MacAddress(value);
        return true;
    }

    /// <summary>Writes six bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt16BigEndian(bytes, (ushort)(Value >> 32));
        BinaryPrimitives.WriteUInt32BigEndian(bytes[2..], (uint)Value);
    }

    /// <summary>"00:16:3e:12:34:56".</summary>
    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Size];
        Write(bytes);
        string digits = Convert.ToHexStringLower(bytes);
        return string.Join(':', Enumerable.Range(0, Size).Select(i => digits.Substring(2 * i, 2)));
    }
}
