using System.Runtime.CompilerServices;
using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Tests;

/// <summary>Layers below an image are copied into it while it is written at random: what it reads follows the writes only, and nothing is missing once the layers are gone.</summary>
public sealed class PullTests
{
    private const int Length = (24 << 20) + 512;
    private const int Workers = 4;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Options of the head and of the layers below it, and how many layers stay.</summary>
    public static TheoryData<string, string, int> Chains => new()
    {
        { "", "", 0 },
        { "", "", 1 },
        { "cluster_size=4k", "cluster_size=64k", 1 },
        { "cluster_size=2M", "cluster_size=512", 0 },
        { "cluster_size=2M", "cluster_size=512", 2 },
        { "compat=0.10", "compat=0.10", 1 },
        { "cluster_size=512,refcount_bits=1", "cluster_size=4k", 2 },
    };

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task Writes_meanwhile_win_over_what_is_copied(string headOptions, string layerOptions, int kept)
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("SHINANO_STORAGE_SEED"), out int given) ? given : Random.Shared.Next();
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        using TemporaryDirectory directory = new();
        (string path, byte[] model) = await CreateChainAsync(directory, headOptions, layerOptions, seed);
        await using (Qcow2Image image = (Qcow2Image)await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2), Cancellation))
        {
            StrongBox<long> position = new();
            using CancellationTokenSource pulled = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
            Task[] writers = [.. Enumerable.Range(0, Workers).Select(worker => Task.Run(() => WorkAsync(image, model, worker, position, new Random(seed + worker), pulled.Token)))];
            try
            {
                await Task.Run(async () => await PullAsync(image, directory, kept, position), Cancellation);
            }
            finally
            {
                // The others go on for a while over the new backing file.
                pulled.CancelAfter(50);
                await Task.WhenAll(writers);
            }

            Assert.Equal(kept == 0 ? null : directory[LayerFile(kept - 1)], (image.Backing as Qcow2Image)?.Path);
            await AssertSameAsync(model, image, $"seed {seed}");
        }

        for (int layer = kept; layer < 3; layer++)
        {
            File.Delete(directory[LayerFile(layer)]);
        }

        await QemuImg.CheckAsync(path, leaksAllowed: false);
        await File.WriteAllBytesAsync(directory["model"], model, Cancellation);
        await QemuImg.CompareAsync(path, directory["model"]);
    }

    [Fact]
    public async Task What_reads_as_zeroes_takes_no_space_and_hides_what_is_deeper()
    {
        using TemporaryDirectory directory = new();
        byte[] data = new byte[4 << 20];
        data.AsSpan().Fill(1);
        string path = directory[LayerFile(0)];
        Qcow2Format.Create(path, data.Length);
        await ChangeAsync(path, image => image.WriteAsync(0, data, Cancellation));
        Qcow2Format.Create(directory[LayerFile(1)], data.Length, (LayerFile(0), ImageFormat.Qcow2));
        await ChangeAsync(directory[LayerFile(1)], async image =>
        {
            await image.WriteZeroesAsync(0, 2 << 20, mayUnmap: true, Cancellation);
            await image.WriteAsync(2 << 20, new byte[1 << 20], Cancellation);
        });
        string head = directory["head.qcow2"];
        Qcow2Format.Create(head, data.Length, (LayerFile(1), ImageFormat.Qcow2));
        await ChangeAsync(head, image => PullAsync((Qcow2Image)image, directory, kept: 1, new StrongBox<long>()));
        Assert.True(new FileInfo(head).Length < 1 << 20, $"{new FileInfo(head).Length} bytes");
        data.AsSpan(0, 3 << 20).Clear();
        await ChangeAsync(head, image => AssertSameAsync(data, image, "over the lowest layer"));
        await ChangeAsync(head, image => PullAsync((Qcow2Image)image, directory, kept: 0, new StrongBox<long>()));
        await ChangeAsync(head, image => AssertSameAsync(data, image, "without layers"));
        await QemuImg.CheckAsync(head);

        static async Task ChangeAsync(string path, Func<IBlockImage, ValueTask> change)
        {
            await using IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2), Cancellation);
            await change(image);
        }
    }

    private static string LayerFile(int layer) => $"layer{layer}.qcow2";

    /// <summary>Three layers of data, zeroes and holes, each shorter or longer than the next, and a head that has something of its own.</summary>
    private static async Task<(string Path, byte[] Model)> CreateChainAsync(TemporaryDirectory directory, string headOptions, string layerOptions, int seed)
    {
        Random random = new(seed);
        byte[] model = new byte[Length];
        string? below = null;
        for (int layer = 0; layer < 4; layer++)
        {
            string path = directory[layer == 3 ? "head.qcow2" : LayerFile(layer)];
            int length = layer == 1 ? Length - (3 << 20) : Length;
            await CreateAsync(path, length, below, layer == 3 ? headOptions : layerOptions);
            if (length < Length)
            {
                model.AsSpan(length).Clear();
            }

            await using IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2), Cancellation);
            for (int i = 0; i < 30; i++)
            {
                await StepAsync(image, model, random, 0, length / 512, 1 << 20);
            }

            below = Path.GetFileName(path);
        }

        return (directory["head.qcow2"], model);
    }

    private static async Task CreateAsync(string path, int length, string? below, string options)
    {
        if (options.Length == 0)
        {
            Qcow2Format.Create(path, length, below is null ? null : (below, ImageFormat.Qcow2));
            return;
        }

        QemuImg.SkipIfMissing();
        string[] backing = below is null ? [] : ["-b", below, "-F", "qcow2"];
        await QemuImg.RunAsync(["create", "-q", "-f", "qcow2", "-o", options, .. backing, path, $"{length}"]);
    }

    /// <summary>As a pool does it: all that is to be copied, then the header.</summary>
    /// <param name="position">Told where the copying is.</param>
    private static async ValueTask PullAsync(Qcow2Image image, TemporaryDirectory directory, int kept, StrongBox<long> position)
    {
        int layers = 0;
        for (IBlockImage? layer = image.Backing; layer is Qcow2Image one; layer = one.Backing)
        {
            layers++;
        }

        for (long at = 0; at < image.Length;)
        {
            Volatile.Write(ref position.Value, at);
            (at, _) = await image.PullAsync(at, kept == 0 ? int.MaxValue : layers - kept, compress: false, Cancellation);
        }

        string? bottom = kept == 0 ? null : LayerFile(kept - 1);
        await image.RebaseAsync(
            bottom, bottom is null ? null : "qcow2", bottom is null ? null : Qcow2Opener.Open(new ImageReference(directory[bottom], ImageFormat.Qcow2) { ReadOnly = true }));
    }

    /// <summary>Each worker owns each fourth stripe of 20 KiB: they meet in clusters, and writes cross their borders. Most are in the megabyte that is being copied.</summary>
    private static async Task WorkAsync(IBlockImage image, byte[] model, int worker, StrongBox<long> position, Random random, CancellationToken until)
    {
        const int Stripe = 40;
        const int Stripes = Length / 512 / Stripe / Workers;
        while (!until.IsCancellationRequested)
        {
            int near = (int)(Volatile.Read(ref position.Value) / 512 / Stripe / Workers) + random.Next((1 << 20) / 512 / Stripe / Workers);
            int stripe = (Math.Min(random.Next(4) == 0 ? random.Next(Stripes) : near, Stripes - 1) * Workers) + worker;
            await StepAsync(image, model, random, stripe * Stripe, Stripe, Stripe * 512);
        }
    }

    private static async Task StepAsync(IBlockImage image, byte[] model, Random random, int firstSector, int sectors, int most)
    {
        int from = random.Next(sectors);
        int count = random.Next(1, Math.Min(sectors - from, most / 512) + 1) * 512;
        int offset = (firstSector + from) * 512;
        switch (random.Next(8))
        {
            case 0:
                await image.WriteZeroesAsync(offset, count, random.Next(2) == 0, Cancellation);
                model.AsSpan(offset, count).Clear();
                break;
            case 1:
                await image.FlushAsync(Cancellation);
                break;
            case 2 or 3:
                byte[] read = new byte[count];
                await image.ReadAsync(offset, read, Cancellation);
                Assert.True(read.AsSpan().SequenceEqual(model.AsSpan(offset, count)), $"read of {count} bytes at {offset}");
                break;
            case 4:
                await image.DiscardAsync(offset, count, Cancellation);
                await image.ReadAsync(offset, model.AsMemory(offset, count), Cancellation);
                break;
            default:
                byte[] data = new byte[count];
                random.NextBytes(data);
                await image.WriteAsync(offset, data, Cancellation);
                data.CopyTo(model, offset);
                break;
        }
    }

    private static async ValueTask AssertSameAsync(byte[] model, IBlockImage image, string when)
    {
        byte[] read = new byte[model.Length];
        await image.ReadAsync(0, read, Cancellation);
        int same = model.AsSpan().CommonPrefixLength(read);
        Assert.True(same == model.Length, $"{when}: byte {same} is {(same < read.Length ? read[same] : 0):x2}, not {(same < model.Length ? model[same] : 0):x2}");
    }
}
