using System.Text;

namespace Shinano.XenStore.Protocol;

/// <summary>
/// Reads the NUL-terminated strings of a payload. Strings are bytes mapped one to one to characters (Latin-1), so that tokens
/// of any bytes come back as they were sent.
/// </summary>
public ref struct PayloadReader(ReadOnlySpan<byte> payload)
{
    private ReadOnlySpan<byte> rest = payload;

    /// <summary>What has not been read yet.</summary>
    public readonly ReadOnlySpan<byte> Rest => rest;

    /// <summary>Reads up to the next NUL. False, and nothing read, when there is none.</summary>
    public bool TryReadString(out string value)
    {
        int end = rest.IndexOf((byte)0);
        if (end < 0)
        {
            value = "";
            return false;
        }

        value = Encoding.Latin1.GetString(rest[..end]);
        rest = rest[(end + 1)..];
        return true;
    }

    /// <summary>Reads a payload that must be exactly one string with its NUL at the end.</summary>
    public bool TryReadOnlyString(out string value) => TryReadString(out value) && rest.IsEmpty;

    /// <summary>All strings; bytes after the last NUL are ignored, as xenstored does.</summary>
    public static List<string> ReadAll(ReadOnlySpan<byte> payload)
    {
        var reader = new PayloadReader(payload);
        var strings = new List<string>();
        while (reader.TryReadString(out string value))
        {
            strings.Add(value);
        }

        return strings;
    }
}
