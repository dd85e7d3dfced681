using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using Shinano.Repository;
using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Tests;

/// <summary>A process that writes is killed at random moments: what a flush acknowledged is there, and the image has leaks at worst.</summary>
/// <remarks>SHINANO_STORAGE_KILLS widens the run.</remarks>
public sealed class KillTests
{
    private const int Slot = 32 << 10;
    private const int Length = 48 << 20;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static TheoryData<string> Kinds => ["raw", "qcow2", "qcow2 over raw", "qcow2 chain", "qcow2, 512-byte clusters"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task What_a_flush_acknowledged_is_there_after_a_kill(string name)
    {
        int seed = Random.Shared.Next(1 << 20);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        int kills = int.TryParse(Environment.GetEnvironmentVariable("SHINANO_STORAGE_KILLS"), out int asked) ? asked : 5;
        Random random = new(seed);
        using TemporaryDirectory directory = new();
        ImageKind kind = ImageKind.All.Single(kind => kind.Name == name);
        byte[] content = new byte[Length];
        content.AsSpan(0, 8 << 20).Fill(0xee);
        string path = await kind.CreateAsync(directory.Root, content);
        for (int kill = 0; kill < kills; kill++)
        {
            Dictionary<(int Worker, int Slot), uint> acknowledged = await WriteUntilKilledAsync(kind, path, seed + (kill * 10), random.Next(1, 200));
            if (kind.Format == ImageFormat.Qcow2)
            {
                await QemuImg.CheckAsync(path, leaksAllowed: true);
                ImageCheckReport found = await Qcow2Check.RunAsync(path, repair: true, Cancellation);
                Assert.False(found.IsCorrupt, found.ToString());
                Assert.True((await Qcow2Check.RunAsync(path, repair: false, Cancellation)).IsClean);
                await QemuImg.CheckAsync(path);
            }

            await using IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, kind.Format) { ReadOnly = true }, Cancellation);
            foreach (((int worker, int slot), uint version) in acknowledged)
            {
                await AssertKeptAsync(image, worker, slot, version);
            }
        }
    }

    /// <summary>Starts the writer and kills it after a number of acknowledgements.</summary>
    private static async Task<Dictionary<(int Worker, int Slot), uint>> WriteUntilKilledAsync(ImageKind kind, string path, int seed, int acknowledgements)
    {
        string own = Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory);
        string program = Path.Combine(
            RepositoryRoot.Path, "tests", "Shinano.Storage.Writer", "bin", Path.GetFileName(Path.GetDirectoryName(own)!), Path.GetFileName(own), "Shinano.Storage.Writer.dll");
        ProcessStartInfo start = new("dotnet", [program, kind.Format.ToString(), path, seed.ToString(CultureInfo.InvariantCulture)])
        {
            RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;
        Assert.Equal("ready", await process.StandardOutput.ReadLineAsync(Cancellation));
        Dictionary<(int, int), uint> acknowledged = [];
        while (await process.StandardOutput.ReadLineAsync(Cancellation) is { } line)
        {
            if (line.Split(' ') is [var worker, var slot, var version] && --acknowledgements >= -1000)
            {
                acknowledged[(int.Parse(worker), int.Parse(slot))] = uint.Parse(version);
            }

            if (acknowledgements == 0)
            {
                process.Kill();
            }
        }

        await process.WaitForExitAsync(Cancellation);
        return acknowledged;
    }

    /// <summary>A slot has the acknowledged version, or, sector by sector, what was written after it.</summary>
    private static async Task AssertKeptAsync(IBlockImage image, int worker, int slot, uint version)
    {
        int slots = (int)(image.Length / Slot / 4) - 1;
        byte[] data = new byte[Slot];
        await image.ReadAsync(((((long)worker * (slots + 1)) + slot) * Slot) + 4096, data, Cancellation);
        for (int at = 0; at < Slot; at += 8)
        {
            uint found = BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(at));
            uint owner = BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(at + 4));
            bool erased = found == 0 && owner == 0;
            bool mine = owner == ((uint)worker << 20 | (uint)slot);
            Assert.True(erased || mine, $"worker {worker}, slot {slot}, byte {at}: content of another ({found:x}, {owner:x})");

            // Zeroes may be of a later erasure that nobody acknowledged.
            Assert.True(erased || found >= version, $"worker {worker}, slot {slot}, byte {at}: version {found}, acknowledged {version}");
        }
    }
}
