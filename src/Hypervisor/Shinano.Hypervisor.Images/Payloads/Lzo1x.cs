namespace Shinano.Hypervisor.Images.Payloads;

/// <summary>
/// LZO1X, as Linux documents its stream (Documentation/staging/lzo.rst, "bitstream version 0"). Each instruction copies a match
/// from what is already decoded, then 0 to 3 literals whose count is in the match's low two bits ("state"); runs of literals
/// have an instruction of their own.
/// <code>
/// 0 0 0 0 L L L L   state 0: literal run of 3 + L (L = 0: long), then state 4
/// 0 0 0 0 D D S S   state 1-3: 2 bytes at distance (H &lt;&lt; 2) + D + 1;  state 4: 3 bytes at (H &lt;&lt; 2) + D + 2049
/// 0 0 0 1 H L L L   2 + L bytes (0: long) at 16384 + (H &lt;&lt; 14) + D14; distance 16384 ends the stream
/// 0 0 1 L L L L L   2 + L bytes (0: long) at D14 + 1
/// L L L D D D S S   L &gt;= 2: 1 + L bytes at (H &lt;&lt; 3) + D + 1
/// </code>
/// </summary>
internal static class Lzo1x
{
    private const int AfterLiteralRun = 4;

    /// <summary>True when <paramref name="input"/> is valid to its last byte and fills <paramref name="output"/> exactly.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> input, Span<byte> output)
    {
        var source = 0;
        var target = 0;
        var state = 0;

        // The first byte may be a short literal run of its own form.
        if (input.Length > 0 && input[0] > 17)
        {
            var run = input[0] - 17;
            source = 1;
            if (!Literals(input, ref source, output, ref target, run))
            {
                return false;
            }

            state = run < 4 ? run : AfterLiteralRun;
        }

        while (source < input.Length)
        {
            int instruction = input[source++];
            int length;
            int distance;
            int next;
            if (instruction < 16)
            {
                if (state == 0)
                {
                    if (!Length(input, ref source, instruction, 15, out var run)
                        || !Literals(input, ref source, output, ref target, run + 3))
                    {
                        return false;
                    }

                    state = AfterLiteralRun;
                    continue;
                }

                if (source >= input.Length)
                {
                    return false;
                }

                next = instruction & 3;
                distance = (input[source++] << 2) + (instruction >> 2) + (state == AfterLiteralRun ? 2049 : 1);
                length = state == AfterLiteralRun ? 3 : 2;
            }
            else if (instruction >= 64)
            {
                if (source >= input.Length)
                {
                    return false;
                }

                next = instruction & 3;
                distance = (input[source++] << 3) + ((instruction >> 2) & 7) + 1;
                length = (instruction >> 5) + 1;
            }
            else
            {
                var near = instruction >= 32;
                if (!Length(input, ref source, instruction & (near ? 31 : 7), near ? 31 : 7, out length) || source + 2 > input.Length)
                {
                    return false;
                }

                length += 2;
                var word = input[source] | (input[source + 1] << 8);
                source += 2;
                next = word & 3;
                distance = (word >> 2) + (near ? 1 : 16384 + ((instruction & 8) << 11));
                if (!near && distance == 16384)
                {
                    return length == 3 && source == input.Length && target == output.Length;
                }
            }

            if (!Match(output, ref target, distance, length) || !Literals(input, ref source, output, ref target, next))
            {
                return false;
            }

            state = next;
        }

        return false; // no end mark
    }

    /// <summary>A length of 0 goes on: 255 for each zero byte, then the first other byte, on top of <paramref name="largest"/>.</summary>
    private static bool Length(ReadOnlySpan<byte> input, ref int source, int field, int largest, out int length)
    {
        length = field;
        if (field != 0)
        {
            return true;
        }

        length = largest;
        while (source < input.Length)
        {
            var value = input[source++];
            if (value != 0)
            {
                length += value;
                return true;
            }

            length += 255; // at most 255 times the input's length, which stays below 2^31 for what a block may hold
            if (length > KernelImageReader.MaximumImageSize)
            {
                return false;
            }
        }

        return false;
    }

    private static bool Literals(ReadOnlySpan<byte> input, ref int source, Span<byte> output, ref int target, int count)
    {
        if (count > input.Length - source || count > output.Length - target)
        {
            return false;
        }

        input.Slice(source, count).CopyTo(output[target..]);
        source += count;
        target += count;
        return true;
    }

    private static bool Match(Span<byte> output, ref int target, int distance, int length)
    {
        if (distance > target || length > output.Length - target)
        {
            return false;
        }

        // Source and target overlap when the distance is shorter than the length: the bytes repeat.
        for (var end = target + length; target < end; target++)
        {
            output[target] = output[target - distance];
        }

        return true;
    }
}
