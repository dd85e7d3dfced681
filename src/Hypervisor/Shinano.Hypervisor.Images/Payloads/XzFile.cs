using System.Buffers.Binary;
using SharpCompress.Compressors.LZMA;
using SharpCompress.Compressors.Xz;
using SharpCompress.Compressors.Xz.Filters;

namespace Shinano.Hypervisor.Images.Payloads;

/// <summary>
/// The .xz file format (xz-file-format.txt 1.2): a stream header, blocks of LZMA2 data, optionally through the x86 filter as Linux's
/// build does, an index and a footer. Only the container is read here, so that no size in the file is trusted before
/// it is checked; the LZMA2 and x86 decoders are SharpCompress's.
/// </summary>
internal static class XzFile
{
    private const int StreamHeaderSize = 12;
    private const ulong FilterX86 = 0x04;
    private const ulong FilterLzma2 = 0x21;

    public static string? Decode(ReadOnlyMemory<byte> body, byte[] output)
    {
        var span = body.Span;
        if (span.Length < StreamHeaderSize || span[6] != 0
            || Crc(span.Slice(6, 2)) != BinaryPrimitives.ReadUInt32LittleEndian(span[8..]))
        {
            return "its stream header is damaged";
        }

        var check = span[7];
        if (check is not (0 or 1 or 4 or 10))
        {
            return $"its integrity check {check} is not known";
        }

        var position = StreamHeaderSize;
        var written = 0;

        // A block begins with its header size in units of 4 bytes, less 1; 0 is the index, which ends the data.
        while (position < span.Length && span[position] != 0)
        {
            if (DecodeBlock(body, ref position, output, ref written, check) is { } problem)
            {
                return problem;
            }
        }

        return position < span.Length ? PayloadDecompressor.Sized(written, output.Length) : "it ends without its index";
    }

    private static string? DecodeBlock(ReadOnlyMemory<byte> body, ref int position, byte[] output, ref int written, byte check)
    {
        var span = body.Span;
        var headerSize = (span[position] + 1) * 4;
        if (headerSize > span.Length - position
            || Crc(span.Slice(position, headerSize - 4)) != BinaryPrimitives.ReadUInt32LittleEndian(span[(position + headerSize - 4)..]))
        {
            return "a block header is damaged";
        }

        if (!TryReadFilters(span.Slice(position + 1, headerSize - 5), out var hasX86, out var dictionary))
        {
            return "a block uses other filters than LZMA2 and x86";
        }

        position += headerSize;
        if (!TryMeasure(span[position..], out var packed, out var size))
        {
            return "its LZMA2 data is damaged or cut short";
        }

        if (size > output.Length - written)
        {
            return $"it holds more than the {output.Length} bytes that it says";
        }

        var target = output.AsSpan(written, (int)size);
        var data = body.Slice(position, packed);
        using (var lzma = LzmaStream.Create([Clamp(dictionary, output.Length)], new MemoryReadStream(data), packed, size, null, isLzma2: true))
        {
            Stream stream = lzma;
            if (hasX86)
            {
                var filter = new X86Filter();
                filter.Init([]);
                filter.SetBaseStream(lzma);
                stream = filter;
            }

            if (PayloadDecompressor.ReadExactly(stream, target, mustEnd: false) is { } problem)
            {
                return problem;
            }
        }

        written += (int)size;
        position += (packed + 3) & ~3;
        var checkSize = check switch { 1 => 4, 4 => 8, 10 => 32, _ => 0 };
        if (checkSize > span.Length - position)
        {
            return "it ends within a block";
        }

        if (!ChecksOut(check, target, span.Slice(position, checkSize)))
        {
            return "a block has a wrong checksum";
        }

        position += checkSize;
        return null;
    }

    /// <summary>Filter flags: an optional x86 filter (start offset 0 only), then LZMA2 with its dictionary size.</summary>
    private static bool TryReadFilters(ReadOnlySpan<byte> header, out bool hasX86, out byte dictionary)
    {
        hasX86 = false;
        dictionary = 0;
        var flags = header[0];
        if ((flags & 0x3c) != 0)
        {
            return false;
        }

        header = header[1..];
        for (var sizes = (flags >> 6 & 1) + (flags >> 7); sizes > 0; sizes--)
        {
            if (!TryReadInteger(ref header, out _))
            {
                return false;
            }
        }

        for (var left = (flags & 3) + 1; left > 0; left--)
        {
            if (!TryReadInteger(ref header, out var id) || !TryReadInteger(ref header, out var size) || size > (ulong)header.Length)
            {
                return false;
            }

            var properties = header[..(int)size];
            header = header[(int)size..];
            if (id == FilterLzma2 && left == 1 && size == 1 && properties[0] <= 40)
            {
                dictionary = properties[0];
                return true;
            }

            if (id != FilterX86 || hasX86 || properties.IndexOfAnyExcept((byte)0) >= 0)
            {
                return false;
            }

            hasX86 = true;
        }

        return false;
    }

    /// <summary>
    /// Walks the chunk headers of LZMA2 to find where the data ends and how much it holds: control 0 ends it, 1 and 2 are stored
    /// chunks (u16 size - 1), from 0x80 LZMA chunks (21-bit size - 1, u16 packed size - 1, a properties byte from 0xc0).
    /// </summary>
    private static bool TryMeasure(ReadOnlySpan<byte> data, out int packed, out long size)
    {
        packed = 0;
        size = 0;
        while (packed < data.Length)
        {
            var control = data[packed];
            if (control == 0)
            {
                packed++;
                return true;
            }

            if (control is > 2 and < 0x80 || data.Length - packed < 6)
            {
                return false;
            }

            var low = BinaryPrimitives.ReadUInt16BigEndian(data[(packed + 1)..]) + 1;
            if (control <= 2)
            {
                size += low;
                packed += 3 + low;
            }
            else
            {
                size += low + ((control & 0x1f) << 16);
                packed += (control >= 0xc0 ? 6 : 5) + BinaryPrimitives.ReadUInt16BigEndian(data[(packed + 3)..]) + 1;
            }
        }

        return false;
    }

    /// <summary>
    /// The smallest dictionary code that covers the output: (2 | code &amp; 1) &lt;&lt; (code / 2 + 11) bytes. A file must not choose how much
    /// memory is taken, and no distance can reach beyond the output.
    /// </summary>
    private static byte Clamp(byte code, int outputSize)
    {
        byte enough = 0;
        while (enough < code && (2L | (enough & 1u)) << ((enough / 2) + 11) < outputSize)
        {
            enough++;
        }

        return enough;
    }

    private static bool ChecksOut(byte check, ReadOnlySpan<byte> content, ReadOnlySpan<byte> stored) => check switch
    {
        1 => Crc(content) == BinaryPrimitives.ReadUInt32LittleEndian(stored),
        4 => ~Crc64.UpdateXz(ulong.MaxValue, content) == BinaryPrimitives.ReadUInt64LittleEndian(stored),
        10 => System.Security.Cryptography.SHA256.HashData(content).AsSpan().SequenceEqual(stored),
        _ => true,
    };

    /// <summary>Variable-length integers: 7 bits a byte, low bits first, at most 9 bytes.</summary>
    private static bool TryReadInteger(ref ReadOnlySpan<byte> bytes, out ulong value)
    {
        value = 0;
        for (var i = 0; i < 9 && i < bytes.Length; i++)
        {
            value |= (ulong)(bytes[i] & 0x7f) << (7 * i);
            if ((bytes[i] & 0x80) == 0)
            {
                bytes = bytes[(i + 1)..];
                return true;
            }
        }

        return false;
    }

    private static uint Crc(ReadOnlySpan<byte> bytes) => ~Crc32.Update(uint.MaxValue, bytes);
}
