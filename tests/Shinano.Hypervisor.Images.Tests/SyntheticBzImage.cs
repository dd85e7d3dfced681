using System.Buffers.Binary;
using System.IO.Compression;
using K4os.Compression.LZ4;
using SharpCompress.Compressors.BZip2;
using SharpCompress.Compressors.LZMA;
using SharpCompress.Compressors.Xz;

namespace Shinano.Hypervisor.Images.Tests;

/// <summary>Wraps an ELF file as Linux's build does: compressed, its size appended, behind a setup header.</summary>
internal static class SyntheticBzImage
{
    public static readonly PayloadCompression[] All = Enum.GetValues<PayloadCompression>();

    public static byte[] Build(byte[] elf, PayloadCompression compression, ushort protocol = 0x20f, string version = "6.1.0-test (me@here)") =>
        Wrap(WithSize(Compress(elf, compression), elf.Length, compression), protocol, version);

    public static byte[] Wrap(byte[] payload, ushort protocol = 0x20f, string version = "6.1.0-test (me@here)")
    {
        const int setupSectors = 2;
        const int payloadOffset = 0x20;
        var file = new byte[((setupSectors + 1) * 512) + payloadOffset + payload.Length];
        file[0x1f1] = setupSectors;
        "HdrS"u8.CopyTo(file.AsSpan(0x202));
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x206), protocol);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x20e), 0x100);
        System.Text.Encoding.ASCII.GetBytes(version).CopyTo(file.AsSpan(0x300));
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(0x248), payloadOffset);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(0x24c), (uint)payload.Length);
        payload.CopyTo(file, file.Length - payload.Length);
        return file;
    }

    public static byte[] WithSize(byte[] packed, int size, PayloadCompression compression) =>
        compression is PayloadCompression.None or PayloadCompression.Gzip ? packed : [.. packed, .. BitConverter.GetBytes(size)];

    public static byte[] Compress(byte[] data, PayloadCompression compression) => compression switch
    {
        PayloadCompression.Gzip => Through(data, stream => new GZipStream(stream, System.IO.Compression.CompressionMode.Compress, true)),
        PayloadCompression.Bzip2 => Through(
            data,
            stream => BZip2Stream.Create(stream, SharpCompress.Compressors.CompressionMode.Compress, decompressConcatenated: false, leaveOpen: true)),
        PayloadCompression.Lzma => Lzma(data),
        PayloadCompression.Xz => Xz(data),
        PayloadCompression.Lzo => Lzo(data),
        PayloadCompression.Lz4 => Lz4(data),
        PayloadCompression.Zstd => Zstd(data),
        _ => data,
    };

    private static byte[] Through(byte[] data, Func<Stream, Stream> wrap)
    {
        var packed = new MemoryStream();
        using (var stream = wrap(packed))
        {
            stream.Write(data);
        }

        return packed.ToArray();
    }

    private static byte[] Lzma(byte[] data)
    {
        var packed = new MemoryStream();
        byte[] properties;
        using (var stream = LzmaStream.Create(new LzmaEncoderProperties(eos: true), isLzma2: false, packed))
        {
            stream.Write(data);
            properties = stream.Properties;
        }

        return [.. properties, .. BitConverter.GetBytes(-1L), .. packed.ToArray()];
    }

    /// <summary>An xz file with one block of stored LZMA2 chunks; packed chunks are covered by the fixtures that xz itself made.</summary>
    private static byte[] Xz(byte[] data)
    {
        byte[] header = [2, 0, 0x21, 1, 8, 0, 0, 0]; // 12 bytes with its checksum; one filter: LZMA2, 64 KiB
        var file = new List<byte> { 0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0, 0, 1 };
        file.AddRange(Crc([0, 1]));
        file.AddRange(header);
        file.AddRange(Crc(header));
        for (var offset = 0; offset < data.Length; offset += 0x10000)
        {
            var chunk = data.AsSpan(offset, Math.Min(0x10000, data.Length - offset));
            file.AddRange([(byte)(offset == 0 ? 1 : 2), (byte)((chunk.Length - 1) >> 8), (byte)(chunk.Length - 1)]);
            file.AddRange(chunk);
        }

        file.Add(0);
        file.AddRange(new byte[-file.Count & 3]);
        file.AddRange(Crc(data));
        file.AddRange([0, 0, 0, 0]); // the index, which is not looked into
        return [.. file];
    }

    private static byte[] Crc(ReadOnlySpan<byte> bytes) => BitConverter.GetBytes(~Crc32.Update(uint.MaxValue, bytes));

    /// <summary>An lzop file of one block: literals, then one match that repeats the last byte, so that the block is smaller.</summary>
    private static byte[] Lzo(byte[] data)
    {
        var packed = LzoLiterals(data);
        var file = new List<byte> { 0x89, (byte)'L', (byte)'Z', (byte)'O', 0, 0x0d, 0x0a, 0x1a, 0x0a };
        file.AddRange([0x10, 0x40, 0x20, 0xa0, 0x09, 0x40, 1, 9]); // versions, method, level
        file.AddRange(new byte[4 + 4 + 4 + 4 + 1 + 4]); // flags, mode, times, no name, checksum
        var stored = packed.Length >= data.Length;
        file.AddRange(BigEndian(data.Length));
        file.AddRange(BigEndian(stored ? data.Length : packed.Length));
        file.AddRange(stored ? data : packed);
        file.AddRange(BigEndian(0));
        return [.. file];
    }

    public static byte[] LzoLiterals(byte[] data)
    {
        var packed = new List<byte>();
        if (data.Length is > 0 and <= 238)
        {
            packed.Add((byte)(data.Length + 17));
        }
        else
        {
            packed.Add(0);
            var rest = data.Length - 18;
            for (; rest > 255; rest -= 255)
            {
                packed.Add(0);
            }

            packed.Add((byte)rest);
        }

        packed.AddRange(data);
        packed.AddRange([17, 0, 0]);
        return [.. packed];
    }

    private static byte[] BigEndian(int value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        return bytes;
    }

    private static byte[] Lz4(byte[] data)
    {
        var block = new byte[LZ4Codec.MaximumOutputSize(data.Length)];
        var size = LZ4Codec.Encode(data, block);
        return [0x02, 0x21, 0x4c, 0x18, .. BitConverter.GetBytes(size), .. block.AsSpan(0, size)];
    }

    private static byte[] Zstd(byte[] data)
    {
        using var compressor = new ZstdSharp.Compressor();
        return compressor.Wrap(data).ToArray();
    }
}
