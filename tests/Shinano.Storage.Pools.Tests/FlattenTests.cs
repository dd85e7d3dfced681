using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Pools.Tests;

/// <summary>Layers below a volume's head go away while the volume is used, all of them or the younger ones.</summary>
public sealed class FlattenTests : IDisposable
{
    private const int Mib = 1 << 20;

    private readonly PoolHome _home = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _home.Dispose();

    [Fact]
    public async Task A_clone_in_use_becomes_independent_of_its_origin()
    {
        await CreateAsync("tank/gold", 1);
        await _home.Pool.CloneAsync(N("tank/gold@0"), N("tank/clone"), Cancellation);
        await using (IBlockImage head = await _home.Pools.OpenAsync("tank/clone", readOnly: false, Cancellation))
        {
            Assert.Equal(2, (await InfoAsync("tank/clone")).Layers);
            List<TransferProgress> told = [];
            await FlattenAsync("tank/clone", head, 0, new Told(told));
            Assert.Equal(new TransferProgress(8 * Mib, 8 * Mib), told[^1]);
            Assert.Equal((1, null), ((await InfoAsync("tank/clone")).Layers, (await InfoAsync("tank/clone")).Origin));
            Assert.Equal(1, await ByteAsync(head, 0));

            // Again, as after a kill: nothing is left to do.
            await FlattenAsync("tank/clone", head, 0);
        }

        await _home.Pool.DestroyAsync(N("tank/gold"), snapshots: true, clones: false, null, Cancellation);
        Assert.Equal(1, await _home.ByteAsync("tank/clone", 0));
        await _home.AssertSoundAsync();
    }

    [Fact]
    public async Task The_oldest_layers_stay_where_they_are_shared()
    {
        await CreateAsync("tank/v", 8);
        await using (IBlockImage head = await _home.Pools.OpenAsync("tank/v", readOnly: false, Cancellation))
        {
            await FlattenAsync("tank/v", head, 3);
            Assert.Equal(4, (await InfoAsync("tank/v")).Layers);
            for (int i = 0; i < 8; i++)
            {
                Assert.Equal(i + 1, await ByteAsync(head, i * 65536));
            }
        }

        // Only what the younger layers had was copied.
        Assert.InRange((await InfoAsync("tank/v@7")).Referenced, 1, 2 * Mib);
        Assert.Equal(8, (await InfoAsync("tank/v@7")).Layers);
        await _home.AssertSoundAsync();
    }

    [Fact]
    public async Task A_process_that_ended_between_header_and_record_is_made_up_for()
    {
        await CreateAsync("tank/v", 4);
        foreach (int kept in (int[])[2, 0])
        {
            await using Qcow2Image head = (Qcow2Image)await _home.Pools.OpenAsync("tank/v", readOnly: false, Cancellation);
            string record = await File.ReadAllTextAsync(Path.Combine(_home.Pool.Root, "pool.json"), Cancellation);
            await FlattenAsync("tank/v", head, kept);
            await File.WriteAllTextAsync(Path.Combine(_home.Pool.Root, "pool.json"), record, Cancellation);
            Assert.Equal(4, await ByteAsync(head, 3 * 65536));
            await FlattenAsync("tank/v", head, kept);
            Assert.Equal(kept + 1, (await InfoAsync("tank/v")).Layers);
        }

        await _home.AssertSoundAsync();
    }

    [Fact]
    public async Task What_was_stopped_is_what_it_was_and_goes_on_later()
    {
        await CreateAsync("tank/v", 2);
        await _home.WriteAsync("tank/v", 4 * Mib, 4 * Mib, 9);
        await _home.Pool.SnapshotAsync(N("tank/v@last"), Cancellation);
        await using IBlockImage head = await _home.Pools.OpenAsync("tank/v", readOnly: false, Cancellation);
        using CancellationTokenSource stop = new();
        await Assert.ThrowsAsync<OperationCanceledException>(() => _home.Pool.FlattenInUseAsync(
            N("tank/v"), head, 0, async _ => await stop.CancelAsync(), null, stop.Token));
        Assert.Equal(4, (await InfoAsync("tank/v")).Layers);
        Assert.Equal((1, 9), (await ByteAsync(head, 0), await ByteAsync(head, 7 * Mib)));
        await FlattenAsync("tank/v", head, 0);
        Assert.Equal((1, 9), (await ByteAsync(head, 0), await ByteAsync(head, 7 * Mib)));
        Assert.Equal(1, (await InfoAsync("tank/v")).Layers);
    }

    [Fact]
    public async Task A_merge_is_due_at_a_hundred_layers()
    {
        await CreateAsync("tank/v", 98);
        Assert.Null(_home.Pool.FindMergeDue(N("tank/v")));
        await _home.Pool.SnapshotAsync(N("tank/v@last"), Cancellation);
        Assert.Equal(50, _home.Pool.FindMergeDue(N("tank/v")));
        await using (IBlockImage head = await _home.Pools.OpenAsync("tank/v", readOnly: false, Cancellation))
        {
            await FlattenAsync("tank/v", head, 50);
            for (int i = 0; i < 98; i += 10)
            {
                Assert.Equal(i + 1, await ByteAsync(head, i * 65536));
            }
        }

        Assert.Equal(51, (await InfoAsync("tank/v")).Layers);
        Assert.Null(_home.Pool.FindMergeDue(N("tank/v")));
    }

    private static VolumeName N(string name) => PoolHome.N(name);

    /// <summary>A volume with a cluster of its own in each layer, or in each tenth of many, and snapshots @0 and on.</summary>
    private async Task CreateAsync(string name, int snapshots)
    {
        await _home.Pool.CreateAsync(N(name), 8 * Mib, Cancellation);
        for (int i = 0; i < snapshots; i++)
        {
            if (snapshots < 10 || i % 10 == 0)
            {
                await _home.WriteAsync(name, i * 65536, 65536, (byte)(i + 1));
            }

            await _home.Pool.SnapshotAsync(N($"{name}@{i}"), Cancellation);
        }
    }

    private Task FlattenAsync(string name, IBlockImage head, int kept, IProgress<TransferProgress>? progress = null) =>
        _home.Pool.FlattenInUseAsync(N(name), head, kept, _ => ValueTask.CompletedTask, progress, Cancellation);

    private async Task<VolumeInfo> InfoAsync(string name) => (await _home.Pool.ListAsync(Cancellation)).Single(info => info.Name == name);

    private static async Task<byte> ByteAsync(IBlockImage image, long offset)
    {
        byte[] data = new byte[512];
        await image.ReadAsync(offset, data, Cancellation);
        return data[0];
    }

    private sealed class Told(List<TransferProgress> all) : IProgress<TransferProgress>
    {
        public void Report(TransferProgress value) => all.Add(value);
    }
}
