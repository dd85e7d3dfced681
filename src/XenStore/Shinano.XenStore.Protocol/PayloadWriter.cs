using System.Text;

namespace Shinano.XenStore.Protocol;

/// <summary>Builds payloads; the inverse of <see cref="PayloadReader"/>.</summary>
public static class PayloadWriter
{
    /// <summary>Each string followed by a NUL.</summary>
    public static byte[] Strings(params ReadOnlySpan<string> strings)
    {
        int length = 0;
        foreach (string value in strings)
        {
            length += value.Length + 1;
        }

        byte[] payload = new byte[length];
        int position = 0;
        foreach (string value in strings)
        {
            position += Encoding.Latin1.GetBytes(value, payload.AsSpan(position)) + 1;
        }

        return payload;
    }

    /// <summary>A string with its NUL and then bytes without one: the payload of WRITE.</summary>
    public static byte[] StringAndValue(string first, ReadOnlySpan<byte> value)
    {
        byte[] payload = new byte[first.Length + 1 + value.Length];
        Encoding.Latin1.GetBytes(first, payload);
        value.CopyTo(payload.AsSpan(first.Length + 1));
        return payload;
    }
}
