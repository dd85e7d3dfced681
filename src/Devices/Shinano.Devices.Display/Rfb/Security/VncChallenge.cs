using System.Security.Cryptography;
using System.Text;

namespace Shinano.Devices.Display.Rfb.Security;

/// <summary>
/// VNC authentication (RFC 6143 §7.2.2): the viewer encrypts 16 random bytes with DES, the password being the key with the bits of each byte in reverse. It keeps
/// honest people out of a loopback port and no more: eight characters count, and nothing after it is encrypted.
/// </summary>
public static class VncChallenge
{
    /// <summary>Bytes of a challenge and of a response.</summary>
    public const int Length = 16;

    /// <summary>Characters of a password that count.</summary>
    public const int PasswordLength = 8;

    /// <summary>Says why a text is no password; null when it is one.</summary>
    public static string? FindFault(string password)
    {
        ArgumentNullException.ThrowIfNull(password);
        if (password.Length == 0)
        {
            return "an empty password keeps nobody out";
        }

        // Weak DES keys are made of control characters and of bytes above ASCII only.
        return password.All(c => c is >= ' ' and <= '~') ? null : "a VNC password has printable ASCII characters only";
    }

    /// <summary>What a viewer that knows the password answers.</summary>
    public static byte[] Answer(string password, ReadOnlySpan<byte> challenge)
    {
        if (FindFault(password) is { } fault)
        {
            throw new ArgumentException(fault, nameof(password));
        }

        byte[] key = new byte[PasswordLength];
        int used = Encoding.ASCII.GetBytes(password.AsSpan(0, Math.Min(password.Length, PasswordLength)), key);
        for (int i = 0; i < used; i++)
        {
            key[i] = Reverse(key[i]);
        }

        // RFC 6143 §7.2.2 prescribes it; there is no other choice for viewers that know nothing else.
#pragma warning disable CA5351
        using DES des = DES.Create();
#pragma warning restore CA5351
        des.Key = key;
        return des.EncryptEcb(challenge, PaddingMode.None);
    }

    /// <summary>Compares in a time that tells nothing.</summary>
    public static bool IsRight(string password, ReadOnlySpan<byte> challenge, ReadOnlySpan<byte> response) =>
        CryptographicOperations.FixedTimeEquals(Answer(password, challenge), response);

    private static byte Reverse(byte value)
    {
        int result = 0;
        for (int bit = 0; bit < 8; bit++)
        {
            result |= ((value >> bit) & 1) << (7 - bit);
        }

        return (byte)result;
    }
}
