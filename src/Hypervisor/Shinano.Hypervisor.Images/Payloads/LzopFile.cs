using System.Buffers.Binary;

namespace Shinano.Hypervisor.Images.Payloads;

/// <summary>
/// The file format of lzop, big-endian: magic (9), version u16, library version u16, needed version u16 (from 0.940), method u8,
/// level u8 (from 0.940), flags u32, filter u32 (if flagged), mode u32, mtime u32, high mtime u32 (from 0.940), name length u8
/// and name, header checksum u32; then blocks: uncompressed u32 (0 ends the file), compressed u32, checksums as flagged, data.
/// A block that does not shrink is stored.
/// </summary>
internal static class LzopFile
{
    private const uint FlagAdler32Uncompressed = 0x1;
    private const uint FlagAdler32Compressed = 0x2;
    private const uint FlagCrc32Uncompressed = 0x100;
    private const uint FlagCrc32Compressed = 0x200;
    private const uint FlagFilter = 0x800;
    private const ushort VersionWithLevel = 0x940;

    private static ReadOnlySpan<byte> Magic => [0x89, (byte)'L', (byte)'Z', (byte)'O', 0, 0x0d, 0x0a, 0x1a, 0x0a];

    public static string? Decode(ReadOnlySpan<byte> body, Span<byte> output)
    {
        if (!body.StartsWith(Magic))
        {
            return "it does not begin with lzop's magic";
        }

        var reader = new BigEndianReader(body[Magic.Length..]);
        var flags = ReadHeader(ref reader);
        if (reader.Failed)
        {
            return "it ends within its header";
        }

        var written = 0;
        while (true)
        {
            var size = reader.U32();
            if (reader.Failed)
            {
                return "it ends without its end mark";
            }

            if (size == 0)
            {
                return PayloadDecompressor.Sized(written, output.Length);
            }

            var packed = reader.U32();
            var adler = (flags & FlagAdler32Uncompressed) != 0 ? reader.U32() : (uint?)null;
            _ = (flags & FlagCrc32Uncompressed) != 0 ? reader.U32() : 0;
            if (packed < size)
            {
                _ = (flags & FlagAdler32Compressed) != 0 ? reader.U32() : 0;
                _ = (flags & FlagCrc32Compressed) != 0 ? reader.U32() : 0;
            }

            var data = reader.Take(packed);
            if (reader.Failed || packed > size || size > (uint)(output.Length - written))
            {
                return $"the block after {written} bytes of the kernel has impossible lengths";
            }

            var target = output.Slice(written, (int)size);
            if (packed == size)
            {
                data.CopyTo(target);
            }
            else if (!Lzo1x.TryDecode(data, target))
            {
                return $"the block after {written} bytes of the kernel is not valid LZO1X data";
            }

            if (adler is { } checksum && checksum != Adler32(target))
            {
                return $"the block after {written} bytes of the kernel has a wrong checksum";
            }

            written += (int)size;
        }
    }

    private static uint ReadHeader(ref BigEndianReader reader)
    {
        var version = reader.U16();
        _ = reader.U16(); // of the library
        var modern = version >= VersionWithLevel;
        _ = modern ? reader.U16() : 0; // needed to extract
        _ = reader.U8(); // method
        _ = modern ? reader.U8() : 0; // level
        var flags = reader.U32();
        _ = (flags & FlagFilter) != 0 ? reader.U32() : 0;
        _ = reader.U32(); // mode
        _ = reader.U32(); // mtime
        _ = modern ? reader.U32() : 0;
        _ = reader.Take(reader.U8()); // name
        _ = reader.U32(); // header checksum
        return flags;
    }

    /// <summary>RFC 1950 §8.2, with the sums reduced every 5552 bytes, the most that 32 bits hold.</summary>
    private static uint Adler32(ReadOnlySpan<byte> bytes)
    {
        const uint modulus = 65521;
        const int run = 5552;
        uint a = 1;
        uint b = 0;
        while (!bytes.IsEmpty)
        {
            var count = Math.Min(bytes.Length, run);
            foreach (var value in bytes[..count])
            {
                a += value;
                b += a;
            }

            a %= modulus;
            b %= modulus;
            bytes = bytes[count..];
        }

        return (b << 16) | a;
    }

    /// <summary>Reads forward; beyond the end everything reads as 0 and <see cref="Failed"/> is set.</summary>
    private ref struct BigEndianReader(ReadOnlySpan<byte> bytes)
    {
        private ReadOnlySpan<byte> rest = bytes;

        public bool Failed { get; private set; }

        public byte U8() => Take(1) is [var value] ? value : (byte)0;

        public ushort U16() => Take(2) is { Length: 2 } two ? BinaryPrimitives.ReadUInt16BigEndian(two) : (ushort)0;

        public uint U32() => Take(4) is { Length: 4 } four ? BinaryPrimitives.ReadUInt32BigEndian(four) : 0;

        public ReadOnlySpan<byte> Take(uint count)
        {
            if (count > (uint)rest.Length)
            {
                Failed = true;
                rest = default;
                return default;
            }

            var taken = rest[..(int)count];
            rest = rest[(int)count..];
            return taken;
        }
    }
}
