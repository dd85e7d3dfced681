using System.Buffers.Binary;
using Shinano.Fuzzing;
using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Tests;

/// <summary>Images with damaged tables: never a crash, a hang, much memory, or another file's content; only IOException.</summary>
/// <remarks>docs/fuzzing.md.</remarks>
public sealed class HostileImageTests
{
    private const int DiskLength = 4 << 20;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Damaged_tables_end_in_errors_only()
    {
        using TemporaryDirectory directory = new();
        await File.WriteAllTextAsync(directory["secret"], new string('S', 4096), Cancellation);
        List<byte[]> sources = await SourcesAsync(directory);
        int opened = 0;
        int refused = 0;
        FuzzRun run = FuzzRun.Begin(least: 300);
        while (run.Next())
        {
            Random random = run.Random;
            byte[] image = [.. sources[random.Next(sources.Count)]];
            Damage(random, image);
            string path = directory["damaged.qcow2"];
            await File.WriteAllBytesAsync(path, image, Cancellation);
            try
            {
                await UseAsync(random, path);
                opened++;
            }
            catch (IOException)
            {
                refused++;
            }
            catch (Exception e)
            {
                Assert.Fail($"{run.Where}: {e}");
            }

            try
            {
                ImageCheckReport found = await Qcow2Check.RunAsync(path, repair: true, Cancellation);
                if (found.BadEntries == 0)
                {
                    ImageCheckReport after = await Qcow2Check.RunAsync(path, repair: false, Cancellation);
                    Assert.True(after.LowRefcounts == 0 && after.WrongFlags == 0, $"{run.Where}: before {found}, after {after}");
                }
            }
            catch (IOException)
            {
                refused++;
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{opened} usable, {refused} refused");
        Assert.True(opened > 0 && refused > 0, $"{opened} usable, {refused} refused");
    }

    [Fact]
    public async Task Unknown_features_are_refused_by_name()
    {
        using TemporaryDirectory directory = new();
        (int At, ulong Value, string Message)[] cases =
        [
            (72, 1UL << 4, "extended L2 entries"),
            (72, 1UL << 2, "external data file"),
            (72, 1UL << 40, "bit 40"),
            (72, 1, "dirty bit"),
            (72, 2, "corrupt"),
        ];
        foreach ((int at, ulong value, string message) in cases)
        {
            string path = directory["image"];
            File.Delete(path);
            Qcow2Format.Create(path, DiskLength);
            byte[] image = await File.ReadAllBytesAsync(path, Cancellation);
            BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(at), value);
            await File.WriteAllBytesAsync(path, image, Cancellation);
            InvalidImageException refused = await Assert.ThrowsAsync<InvalidImageException>(
                async () => await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2), Cancellation));
            Assert.Contains(message, refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_refcount_table_that_must_grow_by_far_counts_all_of_itself()
    {
        QemuImg.SkipIfMissing();
        using TemporaryDirectory directory = new();
        string path = directory["image"];
        await QemuImg.RunAsync("create", "-q", "-f", "qcow2", "-o", "cluster_size=512", path, "4M");
        byte[] image = await File.ReadAllBytesAsync(path, Cancellation);

        // The L1 table behind 1 GiB, and a refcount block behind 4 GiB: zeroes, as nothing of the file is there.
        int table = (int)BinaryPrimitives.ReadInt64BigEndian(image.AsSpan(48));
        BinaryPrimitives.WriteInt64BigEndian(image.AsSpan(40), 0x4000_0600);
        BinaryPrimitives.WriteInt64BigEndian(image.AsSpan(table + (47 * 8)), 0x1_0000_0000);
        await File.WriteAllBytesAsync(path, image, Cancellation);
        Assert.NotEqual(0, (await Qcow2Check.RunAsync(path, repair: true, Cancellation)).LowRefcounts);
        ImageCheckReport after = await Qcow2Check.RunAsync(path, repair: false, Cancellation);
        Assert.True(after is { LowRefcounts: 0, BadEntries: 0 }, $"{after}");
        await QemuImg.CheckAsync(path, leaksAllowed: true);
    }

    [Theory]
    [InlineData("../secret", "raw", "not a file in the same directory")]
    [InlineData("/etc/passwd", "raw", "not a file in the same directory")]
    [InlineData("link", "raw", "not a file in the same directory")]
    [InlineData("json:{}", "raw", "not a file's path")]
    [InlineData("nbd:localhost:1", "raw", "not a file's path")]
    [InlineData("image", "vmdk", "format 'vmdk'")]
    [InlineData("image", "qcow2", "leads back to itself")]
    [InlineData("absent", "raw", "is missing")]
    public async Task A_backing_file_elsewhere_is_refused(string name, string format, string message)
    {
        using TemporaryDirectory directory = new();
        Directory.CreateDirectory(directory["images"]);
        await File.WriteAllTextAsync(directory["secret"], new string('S', 512), Cancellation);
        File.CreateSymbolicLink(directory["images/link"], directory["secret"]);
        string path = directory["images/image"];
        Qcow2Format.Create(path, DiskLength, (name, ImageFormat.Raw));
        byte[] image = await File.ReadAllBytesAsync(path, Cancellation);
        Qcow2Header header = Qcow2Header.Parse(image.AsSpan(0, 65536)) with { BackingFormat = format };
        header.Encode().CopyTo(image, 0);
        await File.WriteAllBytesAsync(path, image, Cancellation);
        IOException refused = await Assert.ThrowsAnyAsync<IOException>(
            async () => await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2) { ReadOnly = true }, Cancellation));
        Assert.Contains(message, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guest_cannot_write_itself_another_header()
    {
        // The first cluster of the disk is mapped to the header, and to each other table.
        using TemporaryDirectory directory = new();
        string path = directory["image"];
        for (int table = 0; table < 5; table++)
        {
            File.Delete(path);
            Qcow2Format.Create(path, DiskLength);
            await using (IBlockImage first = await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2), Cancellation))
            {
                await first.WriteAsync(65536, new byte[] { 1 }.Concat(new byte[511]).ToArray(), Cancellation);
            }

            byte[] image = await File.ReadAllBytesAsync(path, Cancellation);
            int l2 = (int)(BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(3 << 16)) & 0x00ff_ffff_ffff_fe00);
            long target = table == 4 ? l2 : table << 16;
            BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(l2), (1UL << 63) | (ulong)target);
            await File.WriteAllBytesAsync(path, image, Cancellation);
            await using (IBlockImage opened = await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2), Cancellation))
            {
                await Assert.ThrowsAsync<InvalidImageException>(async () => await opened.WriteAsync(0, new byte[65536], Cancellation));
                await Assert.ThrowsAsync<InvalidImageException>(async () => await opened.DiscardAsync(0, 65536, Cancellation));
            }

            Assert.Equal(image, await File.ReadAllBytesAsync(path, Cancellation));
        }
    }

    private static async Task UseAsync(Random random, string path)
    {
        await using IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2), Cancellation);
        byte[] data = new byte[64 << 10];
        for (int i = 0; i < 30; i++)
        {
            long offset = random.NextInt64(Math.Max(1, Math.Min(image.Length, DiskLength) / 512)) * 512;
            int count = (int)Math.Min(data.Length, image.Length - offset);
            try
            {
                switch (random.Next(5))
                {
                    case 0:
                        await image.WriteAsync(offset, data.AsMemory(0, count), Cancellation);
                        break;
                    case 1:
                        await image.DiscardAsync(offset, count, Cancellation);
                        break;
                    case 2:
                        await image.FlushAsync(Cancellation);
                        break;
                    default:
                        await image.ReadAsync(offset, data.AsMemory(0, count), Cancellation);
                        Assert.False(data.AsSpan(0, count).IndexOf("SSSSSSSS"u8) >= 0, "another file's content");
                        break;
                }
            }
            catch (IOException)
            {
                // One bad entry does not make the others unusable.
            }
        }
    }

    private static async Task<List<byte[]>> SourcesAsync(TemporaryDirectory directory)
    {
        List<byte[]> sources = [];
        foreach ((int index, ImageKind kind) in ImageKind.All.Where(kind => kind.Format == ImageFormat.Qcow2).Index())
        {
            if (!QemuImg.IsThere && index > 2)
            {
                break;
            }

            string own = Directory.CreateDirectory(directory[$"source{index}"]).FullName;
            byte[] content = new byte[DiskLength];
            content.AsSpan(0, 700_000).Fill(0x11);
            new Random(1).NextBytes(content.AsSpan(2 << 20, 100_000));
            string path = await kind.CreateAsync(own, content);

            // Overlays name files that are not beside the damaged copy: refused, which is an answer as well.
            sources.Add(await File.ReadAllBytesAsync(path, Cancellation));
        }

        return sources;
    }

    private static void Damage(Random random, byte[] image)
    {
        int clusterBits = BinaryPrimitives.ReadInt32BigEndian(image.AsSpan(20));
        for (int i = random.Next(1, 6); i > 0; i--)
        {
            int at = random.Next(8) switch
            {
                0 => random.Next(112),
                1 => (int)BinaryPrimitives.ReadInt64BigEndian(image.AsSpan(40)) + random.Next(64),
                2 => (int)BinaryPrimitives.ReadInt64BigEndian(image.AsSpan(48)) + random.Next(16),
                _ => random.Next(Math.Min(image.Length, 8 << clusterBits)),
            };
            if (at < 0 || at > image.Length - 8)
            {
                continue;
            }

            switch (random.Next(4))
            {
                case 0:
                    image[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(at & ~7), (ulong)random.NextInt64());
                    break;
                case 2:
                    // A cluster of the image itself, as if it were an entry's target.
                    ulong flags = (ulong)random.Next(4) << 62;
                    BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(at & ~7), ((ulong)random.Next(12) << clusterBits) | flags);
                    break;
                default:
                    random.NextBytes(image.AsSpan(at, Math.Min(image.Length - at, random.Next(1, 64))));
                    break;
            }
        }
    }
}
