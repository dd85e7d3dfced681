using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Shinano.Hypervisor.Images.Payloads;

/// <summary>
/// The Linux/x86 boot protocol's file format, as far as its ELF payload needs it (Documentation/arch/x86/boot.rst):
/// <code>
/// 0x1f1 u8  setup_sects (0 means 4)      0x202 "HdrS"
/// 0x206 u16 version (BCD-like, 2.08 = 0x0208)
/// 0x20e u16 kernel_version: offset of a string, less 0x200
/// 0x248 u32 payload_offset, from the end of the setup code
/// 0x24c u32 payload_length, the trailing size word included
/// </code>
/// </summary>
internal static class BzImage
{
    private const int SetupSectorsOffset = 0x1f1;
    private const int MagicOffset = 0x202;
    private const int VersionOffset = 0x206;
    private const int KernelVersionOffset = 0x20e;
    private const int PayloadOffsetOffset = 0x248;
    private const int HeaderEnd = 0x250;
    private const int SectorSize = 512;
    private const ushort FirstVersionWithPayload = 0x208;

    public static bool LooksLikeBzImage(ReadOnlySpan<byte> file) =>
        file.Length >= MagicOffset + 4 && file[MagicOffset..].StartsWith("HdrS"u8);

    /// <summary>Takes the ELF file out of the bzImage <paramref name="file"/>.</summary>
    public static bool TryOpen(
        ReadOnlyMemory<byte> file,
        out ReadOnlyMemory<byte> elf,
        [NotNullWhen(true)] out PayloadInfo? info,
        [NotNullWhen(false)] out KernelImageFailure? failure)
    {
        elf = default;
        info = null;
        failure = FindPayload(file, out var payload);
        if (failure is not null)
        {
            return false;
        }

        var linuxVersion = ReadVersion(file.Span);
        if (Elf.ElfFile.LooksLikeElf(payload.Span))
        {
            elf = payload;
            info = new PayloadInfo(KernelContainer.BzImage, PayloadCompression.None, linuxVersion);
            return true;
        }

        if (PayloadDecompressor.Detect(payload.Span) is not { } compression)
        {
            failure = new(
                KernelImageError.UnsupportedCompression,
                payload.Length < 4
                    ? $"this bzImage has a payload of {payload.Length} bytes: there is no kernel in it"
                    : $"the payload of this bzImage begins with {Convert.ToHexStringLower(payload.Span[..4])}, a compression that is not "
                        + "known here (known: gzip, bzip2, lzma, xz, lzo, lz4, zstd)");
            return false;
        }

        var name = compression.ToString().ToLowerInvariant();
        if (payload.Length < 8)
        {
            failure = Truncated($"its {name} payload has only {payload.Length} bytes");
            return false;
        }

        // Linux appends the size to every payload; in gzip it is the format's own last field (RFC 1952 ISIZE).
        var expected = BinaryPrimitives.ReadUInt32LittleEndian(payload.Span[^4..]);
        var body = compression == PayloadCompression.Gzip ? payload : payload[..^4];
        var unpacked = PayloadDecompressor.Decompress(compression, body, expected);
        failure = unpacked.Failure;
        if (failure is null && !Elf.ElfFile.LooksLikeElf(unpacked.Bytes.Span))
        {
            failure = new(
                KernelImageError.CorruptPayload,
                $"the {name} payload of this bzImage holds {FileKind.Describe(unpacked.Bytes.Span)}, not an ELF file");
        }

        elf = unpacked.Bytes;
        info = new PayloadInfo(KernelContainer.BzImage, compression, linuxVersion);
        return failure is null;
    }

    private static KernelImageFailure? FindPayload(ReadOnlyMemory<byte> file, out ReadOnlyMemory<byte> payload)
    {
        payload = default;
        var span = file.Span;
        if (span.Length < HeaderEnd)
        {
            return Truncated($"it has {span.Length} bytes, fewer than the {HeaderEnd} of its setup header");
        }

        var version = BinaryPrimitives.ReadUInt16LittleEndian(span[VersionOffset..]);
        if (version < FirstVersionWithPayload)
        {
            return new(
                KernelImageError.BootProtocolTooOld,
                $"this bzImage has boot protocol {version >> 8}.{version & 0xff:x2}; 2.08 (Linux 2.6.26) is the first with an ELF payload");
        }

        var sectors = span[SetupSectorsOffset] == 0 ? 4 : span[SetupSectorsOffset];
        var start = ((sectors + 1) * SectorSize) + (long)BinaryPrimitives.ReadUInt32LittleEndian(span[PayloadOffsetOffset..]);
        long length = BinaryPrimitives.ReadUInt32LittleEndian(span[(PayloadOffsetOffset + 4)..]);
        if (start + length > span.Length)
        {
            return Truncated($"its payload ends at byte {start + length}, but the file has {span.Length}");
        }

        payload = file.Slice((int)start, (int)length);
        return null;
    }

    private static string? ReadVersion(ReadOnlySpan<byte> file)
    {
        var offset = BinaryPrimitives.ReadUInt16LittleEndian(file[KernelVersionOffset..]);
        if (offset == 0 || offset + 0x200 >= file.Length)
        {
            return null;
        }

        var text = file[(offset + 0x200)..];
        text = text[..Math.Min(text.Length, 256)];
        var end = text.IndexOf((byte)0);
        text = end < 0 ? text : text[..end];
        return text.IsEmpty || text.IndexOfAnyExceptInRange((byte)' ', (byte)'~') >= 0 ? null : Encoding.ASCII.GetString(text);
    }

    private static KernelImageFailure Truncated(string what) =>
        new(KernelImageError.TruncatedBzImage, $"this bzImage is truncated: {what}");
}
