using System.Buffers.Binary;
using Shinano.Hypervisor.Images.Elf;
using Shinano.Hypervisor.Images.Notes;
using Shinano.Hypervisor.Images.Payloads;

namespace Shinano.Hypervisor.Images;

/// <summary>
/// Reads guest kernels: bytes in, a <see cref="KernelImage"/> or a <see cref="KernelImageFailure"/> out. Pure and safe against
/// hostile files: it never throws for the content of the file, and its memory is bounded by <see cref="MaximumImageSize"/>.
/// </summary>
public static class KernelImageReader
{
    /// <summary>The largest ELF file that is taken out of a compressed image, in bytes (512 MiB).</summary>
    public const int MaximumImageSize = 512 << 20;

    /// <summary>
    /// Reads a kernel for a 64-bit PV domain. CPU-bound (a distribution's kernel takes tens to hundreds of milliseconds to
    /// decompress); any thread. The result keeps views of <paramref name="file"/> when that is an uncompressed ELF file.
    /// </summary>
    public static KernelImageResult ReadPv(ReadOnlyMemory<byte> file)
    {
        var compression = PayloadCompression.None;
        if (file.Length >= 6 && file.Span.StartsWith(GzipMagic))
        {
            var expected = BinaryPrimitives.ReadUInt32LittleEndian(file.Span[^4..]);
            var unpacked = PayloadDecompressor.Decompress(PayloadCompression.Gzip, file, expected);
            if (unpacked.Failure is { } failure)
            {
                return new KernelImageResult(failure);
            }

            file = unpacked.Bytes;
            compression = PayloadCompression.Gzip;
        }

        PayloadInfo? payload = new(KernelContainer.Elf, compression, LinuxVersion: null);
        if (BzImage.LooksLikeBzImage(file.Span))
        {
            if (!BzImage.TryOpen(file, out var inner, out payload, out var failure))
            {
                return new KernelImageResult(failure);
            }

            file = inner;
        }

        if (!ElfFile.LooksLikeElf(file.Span))
        {
            return new KernelImageResult(new KernelImageFailure(
                KernelImageError.NotAKernel,
                $"this is not a kernel: it is {FileKind.Describe(file.Span)}, neither an ELF file nor a Linux bzImage"));
        }

        return ElfFile.TryParse(file, out var elf, out var problem)
            ? PvAddressing.Build(elf, XenNoteParser.Parse(elf), payload)
            : new KernelImageResult(new KernelImageFailure(KernelImageError.MalformedElf, $"this ELF file is damaged: {problem}"));
    }

    private static ReadOnlySpan<byte> GzipMagic => [0x1f, 0x8b];
}
