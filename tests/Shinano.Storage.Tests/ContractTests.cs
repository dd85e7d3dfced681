using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Tests;

/// <summary>What each image does, whatever keeps it: random operations against an array of bytes, with the image opened anew in between.</summary>
/// <remarks>SHINANO_STORAGE_ROUNDS widens the runs; the seed is printed, and SHINANO_STORAGE_SEED repeats one.</remarks>
public sealed class ContractTests
{
    private const int Length = (5 << 20) + 512;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static TheoryData<string> Kinds => [.. ImageKind.All.Select(kind => kind.Name)];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Random_operations_do_what_they_do_to_an_array(string name)
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("SHINANO_STORAGE_SEED"), out int given) ? given : Random.Shared.Next();
        int rounds = int.TryParse(Environment.GetEnvironmentVariable("SHINANO_STORAGE_ROUNDS"), out int asked) ? asked : 6;
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        Random random = new(seed);
        using TemporaryDirectory directory = new();
        ImageKind kind = ImageKind.All.Single(kind => kind.Name == name);
        byte[] model = new byte[Length];
        random.NextBytes(model.AsSpan(0, 1 << 20));
        model.AsSpan(2 << 20, 1 << 20).Fill(0x5a);
        string path = await kind.CreateAsync(directory.Root, model);
        for (int round = 0; round < rounds; round++)
        {
            await using (IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, kind.Format), Cancellation))
            {
                await AssertSameAsync(model, image, $"seed {seed}, opened for round {round}");
                for (int step = 0; step < 40; step++)
                {
                    await StepAsync(random, image, model);
                }

                await AssertSameAsync(model, image, $"seed {seed}, at the end of round {round}");
            }

            if (kind.Format == ImageFormat.Qcow2)
            {
                ImageCheckReport report = await Qcow2Check.RunAsync(path, repair: false, Cancellation);
                Assert.True(report.IsClean, $"seed {seed}: {report}");
                await QemuImg.CheckAsync(path);
                await File.WriteAllBytesAsync(directory["model"], model, Cancellation);
                await QemuImg.CompareAsync(path, directory["model"]);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Operations_in_parallel_keep_to_their_ranges(string name)
    {
        int seed = Random.Shared.Next();
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        using TemporaryDirectory directory = new();
        ImageKind kind = ImageKind.All.Single(kind => kind.Name == name);
        byte[] model = new byte[Length];
        new Random(seed).NextBytes(model.AsSpan(0, 3 << 20));
        string path = await kind.CreateAsync(directory.Root, model);
        await using (IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, kind.Format), Cancellation))
        {
            // Worker n owns each eighth sector: all of them meet in each cluster.
            await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
            {
                Random random = new(seed + worker);
                byte[] sector = new byte[512];
                for (int i = 0; i < 200; i++)
                {
                    int at = ((random.Next(Length / 512 / 8) * 8) + worker) * 512;
                    switch (random.Next(10))
                    {
                        case 0:
                            await image.WriteZeroesAsync(at, 512, mayUnmap: true, Cancellation);
                            model.AsSpan(at, 512).Clear();
                            break;
                        case 1:
                            await image.FlushAsync(Cancellation);
                            break;
                        case < 5:
                            await image.ReadAsync(at, sector, Cancellation);
                            Assert.True(sector.AsSpan().SequenceEqual(model.AsSpan(at, 512)), $"seed {seed}, sector {at / 512}");
                            break;
                        default:
                            random.NextBytes(sector);
                            await image.WriteAsync(at, sector, Cancellation);
                            sector.CopyTo(model, at);
                            break;
                    }
                }
            })));
            await AssertSameAsync(model, image, $"seed {seed}");
        }

        await using (IBlockImage again = await ImageFile.OpenAsync(new ImageReference(path, kind.Format) { ReadOnly = true }, Cancellation))
        {
            await AssertSameAsync(model, again, $"seed {seed}, opened anew");
        }

        if (kind.Format == ImageFormat.Qcow2)
        {
            await QemuImg.CheckAsync(path);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task What_is_added_reads_as_zeroes(string name)
    {
        using TemporaryDirectory directory = new();
        ImageKind kind = ImageKind.All.Single(kind => kind.Name == name);
        byte[] model = new byte[Length];
        model.AsSpan().Fill(0x77);
        string path = await kind.CreateAsync(directory.Root, model);
        await using (IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, kind.Format), Cancellation))
        {
            foreach (int length in (int[])[Length + 512, Length + (9 << 20), 64 << 20])
            {
                await image.ResizeAsync(length, Cancellation);
                Assert.Equal(length, image.Length);
                Array.Resize(ref model, length);
                await AssertSameAsync(model, image, $"{length} bytes");
                byte[] last = [.. Enumerable.Repeat((byte)length, 512)];
                await image.WriteAsync(length - 512, last, Cancellation);
                last.CopyTo(model, length - 512);
            }
        }

        await using IBlockImage again = await ImageFile.OpenAsync(new ImageReference(path, kind.Format), Cancellation);
        await AssertSameAsync(model, again, "opened anew");
        if (kind.Format == ImageFormat.Qcow2)
        {
            await Assert.ThrowsAsync<NotSupportedException>(async () => await again.ResizeAsync(512, Cancellation));
            await again.DisposeAsync();
            await QemuImg.CheckAsync(path);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Ranges_and_read_only_images_are_guarded(string name)
    {
        using TemporaryDirectory directory = new();
        ImageKind kind = ImageKind.All.Single(kind => kind.Name == name);
        string path = await kind.CreateAsync(directory.Root, new byte[Length]);
        ImageReference reference = new(path, kind.Format);
        byte[] sector = new byte[512];
        await using (IBlockImage image = await ImageFile.OpenAsync(reference, Cancellation))
        {
            foreach ((long offset, int count) in (ReadOnlySpan<(long, int)>)[(-512, 512), (1, 512), (0, 511), (Length, 512), (long.MaxValue - 511, 512)])
            {
                Assert.ThrowsAny<ArgumentException>(() => image.ReadAsync(offset, new byte[count], Cancellation).AsTask().GetAwaiter().GetResult());
                Assert.ThrowsAny<ArgumentException>(() => image.WriteAsync(offset, new byte[count], Cancellation).AsTask().GetAwaiter().GetResult());
                Assert.ThrowsAny<ArgumentException>(() => image.DiscardAsync(offset, count, Cancellation).AsTask().GetAwaiter().GetResult());
            }

            ImageInUseException busy = await Assert.ThrowsAsync<ImageInUseException>(async () => await ImageFile.OpenAsync(reference, Cancellation));
            Assert.Contains("this process", busy.Holder, StringComparison.Ordinal);
            await Assert.ThrowsAsync<ImageInUseException>(async () => await ImageFile.OpenAsync(reference with { ReadOnly = true }, Cancellation));
            if (QemuImg.IsThere)
            {
                Assert.Contains("lock", (await QemuImg.TryAsync("qemu-io", "-f", kind.Format == ImageFormat.Raw ? "raw" : "qcow2", "-c", "read 0 512", path)).Output, StringComparison.Ordinal);
            }
        }

        await using IBlockImage reader = await ImageFile.OpenAsync(reference with { ReadOnly = true }, Cancellation);
        await using IBlockImage second = await ImageFile.OpenAsync(reference with { ReadOnly = true }, Cancellation);
        await reader.ReadAsync(0, sector, Cancellation);
        await Assert.ThrowsAsync<IOException>(async () => await reader.WriteAsync(0, sector, Cancellation));
        await Assert.ThrowsAsync<ImageInUseException>(async () => await ImageFile.OpenAsync(reference, Cancellation));
    }

    /// <summary>The same bytes as one piece, or as several of any length, empty ones among them; more than one system call takes, sometimes.</summary>
    private static BufferList Split(Random random, byte[] bytes)
    {
        if (random.Next(3) == 0)
        {
            return new BufferList(bytes);
        }

        List<Memory<byte>> pieces = [];
        int most = random.Next(2) == 0 ? 100 : 8192;
        for (int at = 0; at < bytes.Length;)
        {
            int length = Math.Min(random.Next(most), bytes.Length - at);
            pieces.Add(bytes.AsMemory(at, length));
            at += length;
        }

        return new BufferList([.. pieces]);
    }

    private static async Task StepAsync(Random random, IBlockImage image, byte[] model)
    {
        int offset = random.Next(Length / 512) * 512;
        int most = random.Next(4) switch { 0 => 1 << 20, 1 => 64 << 10, _ => 8 << 10 };
        int count = Math.Min((random.Next(most / 512) + 1) * 512, Length - offset);
        if (random.Next(6) == 0)
        {
            // Whole clusters are another way than parts.
            offset &= -(64 << 10);
            count = Math.Min((count + 0xffff) & -(64 << 10), Length - offset);
        }

        switch (random.Next(12))
        {
            case < 5:
                byte[] data = new byte[count];
                random.NextBytes(data);
                await image.WriteAsync(offset, Split(random, data), Cancellation);
                data.CopyTo(model, offset);
                break;
            case < 7:
                byte[] read = new byte[count];
                await image.ReadAsync(offset, Split(random, read), Cancellation);
                Assert.True(read.AsSpan().SequenceEqual(model.AsSpan(offset, count)), $"read of {count} bytes at {offset}");
                break;
            case < 9:
                await image.WriteZeroesAsync(offset, count, random.Next(2) == 0, Cancellation);
                model.AsSpan(offset, count).Clear();
                break;
            case < 11:
                await image.DiscardAsync(offset, count, Cancellation);
                await CheckDiscardedAsync(image, model, offset, count);
                break;
            default:
                await image.FlushAsync(Cancellation);
                break;
        }
    }

    /// <summary>A discarded sector is what it was, or zeroes.</summary>
    private static async Task CheckDiscardedAsync(IBlockImage image, byte[] model, int offset, int count)
    {
        byte[] read = new byte[count];
        await image.ReadAsync(offset, read, Cancellation);
        for (int at = 0; at < count; at += 512)
        {
            ReadOnlySpan<byte> sector = read.AsSpan(at, 512);
            Assert.True(sector.IndexOfAnyExcept((byte)0) < 0 || sector.SequenceEqual(model.AsSpan(offset + at, 512)), $"discard at {offset + at}");
        }

        read.CopyTo(model, offset);
    }

    private static async Task AssertSameAsync(byte[] model, IBlockImage image, string when)
    {
        byte[] read = new byte[model.Length];
        await image.ReadAsync(0, read, Cancellation);
        int same = model.AsSpan().CommonPrefixLength(read);
        Assert.True(same == model.Length, $"{when}: byte {same} is {(same < read.Length ? read[same] : 0):x2}");
    }
}
