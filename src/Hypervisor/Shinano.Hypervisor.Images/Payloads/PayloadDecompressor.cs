using System.IO.Compression;
using SharpCompress.Compressors.BZip2;

namespace Shinano.Hypervisor.Images.Payloads;

/// <summary>
/// Decompresses a payload into a buffer of the size that the payload names. The decoders are libraries; whatever they throw
/// for damaged input becomes <see cref="KernelImageError.CorruptPayload"/>.
/// </summary>
internal static class PayloadDecompressor
{
    /// <summary>The magics that Linux's own decompress.c and Xen's loader look for.</summary>
    public static PayloadCompression? Detect(ReadOnlySpan<byte> payload) => payload switch
    {
        [0x1f, 0x8b, ..] => PayloadCompression.Gzip,
        [(byte)'B', (byte)'Z', (byte)'h', ..] => PayloadCompression.Bzip2,
        [0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0, ..] => PayloadCompression.Xz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => PayloadCompression.Zstd,
        [0x5d, 0, ..] => PayloadCompression.Lzma,
        [0x89, (byte)'L', (byte)'Z', (byte)'O', ..] => PayloadCompression.Lzo,
        [0x02, 0x21, 0x4c, 0x18, ..] => PayloadCompression.Lz4,
        _ => null,
    };

    /// <summary>Decompresses <paramref name="body"/>, which must give exactly <paramref name="expectedSize"/> bytes.</summary>
    public static Decompressed Decompress(PayloadCompression compression, ReadOnlyMemory<byte> body, uint expectedSize)
    {
        var name = compression.ToString().ToLowerInvariant();
        if (expectedSize > KernelImageReader.MaximumImageSize)
        {
            return new(new KernelImageFailure(
                KernelImageError.PayloadTooLarge,
                $"its {name} payload says that it holds {expectedSize} bytes; the largest kernel that is read has {KernelImageReader.MaximumImageSize}"));
        }

        string? problem;
        try
        {
            var output = new byte[expectedSize];
            problem = Decode(compression, body, output);
            if (problem is null)
            {
                return new(output);
            }
        }
        catch (Exception exception)
        {
            // Library decoders report damage by whichever exception their code runs into (InvalidDataException, but also
            // IndexOutOfRange and their own types), and a damaged size may ask for more memory than there is.
            problem = exception.Message;
        }

        return new(new KernelImageFailure(KernelImageError.CorruptPayload, $"its {name} payload is damaged: {problem}"));
    }

    private static string? Decode(PayloadCompression compression, ReadOnlyMemory<byte> body, byte[] output)
    {
        switch (compression)
        {
            case PayloadCompression.Gzip:
                {
                    using var stream = new GZipStream(new MemoryReadStream(body), CompressionMode.Decompress);
                    return ReadExactly(stream, output, mustEnd: true);
                }

            case PayloadCompression.Bzip2:
                {
                    using var stream = BZip2Stream.Create(
                        new MemoryReadStream(body), SharpCompress.Compressors.CompressionMode.Decompress, decompressConcatenated: false);
                    return ReadExactly(stream, output, mustEnd: true);
                }

            case PayloadCompression.Lzma:
                return LzmaAlone.Decode(body, output);
            case PayloadCompression.Xz:
                return XzFile.Decode(body, output);
            case PayloadCompression.Lzo:
                return LzopFile.Decode(body.Span, output);
            case PayloadCompression.Lz4:
                return Lz4Legacy.Decode(body.Span, output);
            case PayloadCompression.Zstd:
                {
                    using var decompressor = new ZstdSharp.Decompressor();
                    return decompressor.TryUnwrap(body.Span, output, out var written)
                        ? Sized(written, output.Length)
                        : "a zstd frame is not valid, or holds more than the payload says";
                }

            default:
                return "it is not compressed";
        }
    }

    /// <summary>Fills <paramref name="output"/>; null when that worked and, if asked for, the stream ended there.</summary>
    internal static string? ReadExactly(Stream stream, Span<byte> output, bool mustEnd)
    {
        var read = stream.ReadAtLeast(output, output.Length, throwOnEndOfStream: false);
        if (read < output.Length)
        {
            return Sized(read, output.Length);
        }

        // Reading the end also makes the decoders check their checksums.
        return mustEnd && stream.Read(stackalloc byte[1]) != 0
            ? $"it holds more than the {output.Length} bytes that it says"
            : null;
    }

    internal static string? Sized(int actual, int expected) =>
        actual == expected ? null : $"it holds {actual} bytes, but says {expected}";
}
