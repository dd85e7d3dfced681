using System.Globalization;
using System.Text;

namespace Shinano.XenStore.Protocol;

/// <summary>
/// The escapes Xen's tools use for values: \t \n \r \\, \ooo below 8, \xhh for other bytes outside 0x20..0x7e.
/// </summary>
public static class PrintableValue
{
    /// <summary>Shows a value on one line.</summary>
    public static string Escape(ReadOnlySpan<byte> value)
    {
        var text = new StringBuilder(value.Length);
        foreach (byte b in value)
        {
            _ = b switch
            {
                (byte)'\\' => text.Append("\\\\"),
                >= 0x20 and <= 0x7E => text.Append((char)b),
                (byte)'\t' => text.Append("\\t"),
                (byte)'\n' => text.Append("\\n"),
                (byte)'\r' => text.Append("\\r"),
                < 8 => text.Append("\\00").Append((char)('0' + b)),
                _ => text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}"),
            };
        }

        return text.ToString();
    }

    /// <summary>
    /// The inverse of <see cref="Escape"/>. Accepts up to two hex digits after \x and up to three octal digits; an unknown escape
    /// stands for the character after the backslash, as in Xen's tools.
    /// </summary>
    public static byte[] Unescape(string text)
    {
        byte[] input = Encoding.UTF8.GetBytes(text);
        var output = new List<byte>(input.Length);
        int i = 0;
        while (i < input.Length)
        {
            byte c = input[i++];
            if (c != '\\' || i == input.Length)
            {
                if (c != '\\')
                {
                    output.Add(c);
                }

                continue;
            }

            c = input[i++];
            switch (c)
            {
                case (byte)'t':
                    output.Add((byte)'\t');
                    break;
                case (byte)'n':
                    output.Add((byte)'\n');
                    break;
                case (byte)'r':
                    output.Add((byte)'\r');
                    break;
                case (byte)'x':
                    output.Add(ReadDigits(input, ref i, maximum: 2, radix: 16));
                    break;
                case >= (byte)'0' and <= (byte)'7':
                    i--;
                    output.Add(ReadDigits(input, ref i, maximum: 3, radix: 8));
                    break;
                default:
                    output.Add(c);
                    break;
            }
        }

        return [.. output];
    }

    private static byte ReadDigits(ReadOnlySpan<byte> input, ref int position, int maximum, int radix)
    {
        int value = 0;
        for (int count = 0; count < maximum && position < input.Length; count++, position++)
        {
            char c = (char)input[position];
            int digit = char.IsAsciiHexDigit(c) ? Convert.ToInt32(c.ToString(), 16) : radix;
            if (digit >= radix)
            {
                break;
            }

            value = (value * radix) + digit;
        }

        return (byte)value;
    }
}
