using System.Buffers.Binary;
using SharpCompress.Compressors.LZMA;

namespace Shinano.Hypervisor.Images.Payloads;

/// <summary>
/// The .lzma format: properties (1 byte), dictionary size (u32), uncompressed size (u64, all ones for "until the end mark"), data.
/// </summary>
internal static class LzmaAlone
{
    private const int HeaderSize = 13;
    private const int MinimumDictionary = 4096;

    public static string? Decode(ReadOnlyMemory<byte> body, byte[] output)
    {
        if (body.Length < HeaderSize)
        {
            return "it is shorter than its header";
        }

        var header = body.Span[..HeaderSize];
        var size = BinaryPrimitives.ReadUInt64LittleEndian(header[5..]);
        if (size != ulong.MaxValue && size != (ulong)output.Length)
        {
            return $"its header says {size} bytes, its end {output.Length}";
        }

        // A window larger than the whole output is never looked into: do not let the file choose how much memory is taken.
        var dictionary = Math.Min(
            BinaryPrimitives.ReadUInt32LittleEndian(header[1..]), (uint)Math.Max(MinimumDictionary, output.Length));
        var properties = header[..5].ToArray();
        BinaryPrimitives.WriteUInt32LittleEndian(properties.AsSpan(1), Math.Max(dictionary, MinimumDictionary));
        var data = body[HeaderSize..];
        var endMark = size == ulong.MaxValue;
        using var stream = LzmaStream.Create(properties, new MemoryReadStream(data), data.Length, endMark ? -1 : output.Length);
        return PayloadDecompressor.ReadExactly(stream, output, mustEnd: endMark);
    }
}
