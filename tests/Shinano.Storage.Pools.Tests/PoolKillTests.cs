using System.Globalization;
using Shinano.Storage.Writing;

namespace Shinano.Storage.Pools.Tests;

/// <summary>A process that changes a pool is killed at random moments: what it said was made is there, and the pool is sound but for left-over files.</summary>
/// <remarks>SHINANO_STORAGE_KILLS widens the run over a volume.</remarks>
public sealed class PoolKillTests
{
    private const int Disk = 24 << 20;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_pool_survives_kills()
    {
        int seed = Random.Shared.Next(1 << 20);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        Random random = new(seed);
        using PoolHome home = new();
        for (int round = 0; round < 8; round++)
        {
            string[] before = await home.NamesAsync();
            HashSet<string> expected = [.. before];
            HashSet<string> doubtful = [];
            foreach (string line in await WriterProcess.RunUntilKilledAsync(
                random.Next(1, 60), "pool", home[""], (seed + (round * 100)).ToString(CultureInfo.InvariantCulture)))
            {
                _ = line[0] == '+' ? expected.Add(line[2..]) : doubtful.Add(line[2..]);
            }

            // A volume that may be gone takes its snapshots along.
            string[] names = await home.NamesAsync();
            string[] lost = [.. expected.Except(names).Where(name => !doubtful.Contains(name) && !doubtful.Contains(name.Split('@')[0]))];
            Assert.True(lost.Length == 0, $"seed {seed}, round {round}: {string.Join(", ", lost)}");
            IReadOnlyList<string> found = await PoolCheck.RunAsync(home.Pool, null, repair: true, null, Cancellation);
            Assert.All(found, line => Assert.True(
                line.Contains("left over", StringComparison.Ordinal) || line.Contains("leaked clusters", StringComparison.Ordinal), $"seed {seed}, round {round}: {line}"));
            await home.AssertSoundAsync();
            foreach (string name in names.Where(name => name != "tank"))
            {
                Assert.Equal(4 << 20, (await home.ReadAsync(name)).Length);
            }
        }
    }

    [Fact]
    public async Task A_volume_survives_kills_while_it_is_written_and_flattened()
    {
        const byte First = 0xee;
        int seed = Random.Shared.Next(1 << 20);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        int kills = int.TryParse(Environment.GetEnvironmentVariable("SHINANO_STORAGE_KILLS"), out int asked) ? asked : 5;
        Random random = new(seed);
        using PoolHome home = new();
        VolumeName volume = PoolHome.N("tank/v");
        await home.Pool.CreateAsync(volume, Disk, Cancellation);
        await home.WriteAsync("tank/v", 0, Disk, First);
        await home.Pool.SnapshotAsync(PoolHome.N("tank/v@first"), Cancellation);
        await home.Pool.SnapshotAsync(PoolHome.N("tank/v@second"), Cancellation);
        int flattened = 0;
        for (int kill = 0; kill < kills; kill++)
        {
            List<string> said = await WriterProcess.RunUntilKilledAsync(random.Next(1, 300), "flatten", home[""], (seed + (kill * 10)).ToString(CultureInfo.InvariantCulture));
            flattened += said.Contains("flattened") ? 1 : 0;
            IReadOnlyList<string> found = await PoolCheck.RunAsync(home.Pool, null, repair: true, null, Cancellation);
            Assert.All(found, line => Assert.True(line.Contains("leaked clusters", StringComparison.Ordinal), $"seed {seed}, kill {kill}: {line}"));
            AssertContent(await home.ReadAsync("tank/v"), WriterProcess.Acknowledged(said), First, $"seed {seed}, kill {kill}");
            int layers = (await home.Pool.ListAsync(Cancellation)).Single(info => info.Name == "tank/v").Layers!.Value;
            Assert.True(!said.Contains("flattened") || layers == 1, $"seed {seed}, kill {kill}: {layers} layers");
            if (layers == 1)
            {
                await home.Pool.SnapshotAsync(PoolHome.N($"tank/v@after{kill}"), Cancellation);
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{flattened} of {kills} came to their end");
        byte[] last = await home.ReadAsync("tank/v");
        await home.Pool.FlattenAsync(volume, null, Cancellation);
        Assert.Equal(last, await home.ReadAsync("tank/v"));
        Assert.All(await home.ReadAsync("tank/v@first"), value => Assert.Equal(First, value));
        await home.AssertSoundAsync();
    }

    /// <summary>Slots are what was acknowledged, or were always; between them nothing has changed.</summary>
    private static void AssertContent(byte[] disk, Dictionary<(int Worker, int Slot), uint> acknowledged, byte first, string when)
    {
        int end = 0;
        for (int worker = 0; worker < WriterSlots.Workers; worker++)
        {
            for (int slot = 0; slot < WriterSlots.Count(disk.Length); slot++)
            {
                int offset = (int)WriterSlots.Offset(disk.Length, worker, slot);
                Assert.True(disk.AsSpan(end..offset).IndexOfAnyExcept(first) < 0, $"{when}: between byte {end} and {offset}");
                end = offset + WriterSlots.Size;
                string? fault = WriterSlots.FindFault(disk.AsSpan(offset..end), worker, slot, acknowledged.GetValueOrDefault((worker, slot)), first);
                Assert.True(fault is null, $"{when}: {fault}");
            }
        }

        Assert.True(disk.AsSpan(end).IndexOfAnyExcept(first) < 0, $"{when}: behind byte {end}");
    }
}
