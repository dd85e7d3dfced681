using System.Buffers.Binary;
using K4os.Compression.LZ4;

namespace Shinano.Hypervisor.Images.Payloads;

/// <summary>
/// The "legacy frame" of LZ4 (lz4_Frame_format.md), which Linux uses: magic 0x184C2102, then blocks of a 32-bit length and that
/// many bytes, each holding up to 8 MiB. There is no end mark; a further magic starts a further frame.
/// </summary>
internal static class Lz4Legacy
{
    private const uint Magic = 0x184C2102;

    public static string? Decode(ReadOnlySpan<byte> body, Span<byte> output)
    {
        var written = 0;
        while (body.Length > 0)
        {
            if (body.Length < 4)
            {
                return $"{body.Length} bytes are left over at its end";
            }

            var size = BinaryPrimitives.ReadUInt32LittleEndian(body);
            body = body[4..];
            if (size == Magic)
            {
                continue;
            }

            if (size > (uint)body.Length)
            {
                return "a block reaches beyond the end of the payload";
            }

            var decoded = LZ4Codec.Decode(body[..(int)size], output[written..]);
            if (decoded < 0)
            {
                return $"the block after {written} bytes of the kernel is not valid, or holds more than the payload says";
            }

            written += decoded;
            body = body[(int)size..];
        }

        return PayloadDecompressor.Sized(written, output.Length);
    }
}
