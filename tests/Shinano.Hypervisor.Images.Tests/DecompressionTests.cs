using System.Text;
using CsCheck;
using Shinano.Hypervisor.Images.Payloads;

namespace Shinano.Hypervisor.Images.Tests;

public sealed class DecompressionTests
{
    /// <summary>What Fixtures/sample.* hold: calls (for the x86 filter), text, noise and runs of zeroes.</summary>
    private static readonly byte[] Sample = MakeSample();

    /// <summary>Files made by the tools that Linux's build calls (xz, lzop, lz4, ...), not by the libraries that read them here.</summary>
    public static TheoryData<string, PayloadCompression> Fixtures => new()
    {
        { "sample.gz", PayloadCompression.Gzip },
        { "sample.bz2", PayloadCompression.Bzip2 },
        { "sample.lzma", PayloadCompression.Lzma },
        { "sample.x86.xz", PayloadCompression.Xz },
        { "sample.crc64.xz", PayloadCompression.Xz },
        { "sample.1.lzo", PayloadCompression.Lzo },
        { "sample.9.lzo", PayloadCompression.Lzo },
        { "sample.lz4", PayloadCompression.Lz4 },
        { "sample.zst", PayloadCompression.Zstd },
    };

    public static TheoryData<PayloadCompression> Packed => new(SyntheticBzImage.All.Where(kind => kind != PayloadCompression.None));

    [Theory]
    [MemberData(nameof(Fixtures))]
    public void FilesOfTheRealToolsDecompress(string name, PayloadCompression compression)
    {
        var file = Fixture(name);
        Assert.Equal(compression, PayloadDecompressor.Detect(file));
        var result = PayloadDecompressor.Decompress(compression, file, (uint)Sample.Length);
        Assert.Null(result.Failure);
        Assert.True(result.Bytes.Span.SequenceEqual(Sample));
    }

    [Theory]
    [MemberData(nameof(Fixtures))]
    public void AWrongSizeIsCorrupt(string name, PayloadCompression compression)
    {
        foreach (var wrong in (uint[])[0, 1, (uint)Sample.Length - 1, (uint)Sample.Length + 1])
        {
            var result = PayloadDecompressor.Decompress(compression, Fixture(name), wrong);
            Assert.Equal(KernelImageError.CorruptPayload, result.Failure?.Error);
        }
    }

    [Theory]
    [MemberData(nameof(Fixtures))]
    public void AFileCutShortIsCorruptOrComplete(string name, PayloadCompression compression)
    {
        var file = Fixture(name);
        for (var length = 0; length < file.Length - 1; length += 1 + (length / 37))
        {
            var result = PayloadDecompressor.Decompress(compression, file.AsMemory(0, length), (uint)Sample.Length);
            if (result.Failure is null)
            {
                Assert.True(result.Bytes.Span.SequenceEqual(Sample), $"{length} bytes gave something else");
            }
        }

        Assert.NotNull(PayloadDecompressor.Decompress(compression, file.AsMemory(0, file.Length / 2), (uint)Sample.Length).Failure);
    }

    [Theory]
    [MemberData(nameof(Fixtures))]
    public void DamagedFilesAreRefusedOrReadWithoutAnException(string name, PayloadCompression compression)
    {
        var file = Fixture(name);
        var flips = Gen.Select(Gen.Int[0, file.Length - 1], Gen.Byte[1, 255]).Array[1, 4];
        flips.Sample(
            chosen =>
            {
                var damaged = (byte[])file.Clone();
                foreach (var (at, mask) in chosen)
                {
                    damaged[at] ^= mask;
                }

                var result = PayloadDecompressor.Decompress(compression, damaged, (uint)Sample.Length);
                return result.Failure is { Error: KernelImageError.CorruptPayload, Message.Length: > 10 }
                    || result.Bytes.Length == Sample.Length;
            },
            iter: 150,
            threads: 1);
    }

    [Theory]
    [MemberData(nameof(Packed))]
    public void WhatIsCompressedComesBack(PayloadCompression compression) =>
        Gen.Byte.Array[1, 3000].Sample(
            data =>
            {
                var packed = SyntheticBzImage.Compress(data, compression);
                var result = PayloadDecompressor.Decompress(compression, packed, (uint)data.Length);
                return result.Failure is null && result.Bytes.Span.SequenceEqual(data);
            },
            iter: 50,
            threads: 1);

    [Theory]
    [MemberData(nameof(Packed))]
    public void NoiseIsRefused(PayloadCompression compression) =>
        Gen.Byte.Array[0, 300].Sample(
            data => PayloadDecompressor.Decompress(compression, data, 1 << 16).Failure is not null, iter: 300, threads: 1);

    [Theory]
    [MemberData(nameof(Packed))]
    public void ASizeBeyondTheLimitIsRefusedBeforeMemoryIsTaken(PayloadCompression compression)
    {
        var result = PayloadDecompressor.Decompress(compression, new byte[64], uint.MaxValue);
        Assert.Equal(KernelImageError.PayloadTooLarge, result.Failure?.Error);
    }

    [Fact]
    public void LzoReadsEveryBytePrefixOfAStreamWithoutAnException()
    {
        var packed = SyntheticBzImage.LzoLiterals(Sample[..1000]);
        var output = new byte[1000];
        for (var length = 0; length < packed.Length; length++)
        {
            Assert.False(Lzo1x.TryDecode(packed.AsSpan(0, length), output));
        }

        Assert.True(Lzo1x.TryDecode(packed, output));
    }

    [Fact]
    public void LzoRefusesAMatchFromBeforeTheStart()
    {
        // One literal, then 3 bytes from distance 2: only 1 byte is there.
        byte[] stream = [18, 0xaa, 0x44, 0x00, 0x00, 0x11, 0, 0];
        Assert.False(Lzo1x.TryDecode(stream, new byte[4]));
    }

    private static byte[] Fixture(string name) => File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Fixtures", name));

    private static byte[] MakeSample()
    {
        var sample = new MemoryStream();
        for (var n = 0; n < 1500; n++)
        {
            sample.WriteByte(0xe8);
            sample.Write(BitConverter.GetBytes((n * 37) & 0xffff));
            sample.Write([0x0f, 0x1f, 0]);
            sample.Write(Encoding.ASCII.GetBytes($"function {n % 97}\n"));
            if (n % 50 == 0)
            {
                sample.Write([.. Enumerable.Range(0, 300).Select(i => (byte)((n * 7) + (i * i)))]);
            }

            if (n % 500 == 0)
            {
                sample.Write(new byte[3000]);
            }
        }

        return sample.ToArray();
    }
}
