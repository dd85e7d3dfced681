namespace Shinano.Storage.Pools.Tests;

/// <summary>A pool that is the host's ZFS. SHINANO_TEST_ZFS names a dataset that the test may make volumes in.</summary>
public sealed class ZfsPoolTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_classic_cloning_sequence_on_the_host_s_ZFS()
    {
        string? dataset = Environment.GetEnvironmentVariable("SHINANO_TEST_ZFS");
        Assert.SkipUnless(dataset is { Length: > 0 }, "SHINANO_TEST_ZFS names no dataset of a host's ZFS");
        using PoolHome home = new();
        home.Pools.Create("big", directory: null, dataset);
        IVolumePool pool = home.Pools.Get("big");
        await pool.CreateAsync(PoolHome.N("big/xvol-test"), 16 << 20, Cancellation);
        try
        {
            await pool.SnapshotAsync(PoolHome.N("big/xvol-test@a"), Cancellation);
            await pool.CloneAsync(PoolHome.N("big/xvol-test@a"), PoolHome.N("big/xvol-clone"), Cancellation);
            IReadOnlyList<VolumeInfo> list = await pool.ListAsync(Cancellation);
            Assert.Equal("big/xvol-test@a", list.Single(info => info.Name == "big/xvol-clone").Origin);
        }
        finally
        {
            await pool.DestroyAsync(PoolHome.N("big/xvol-test"), snapshots: true, clones: true, null, Cancellation);
        }
    }

    [Fact]
    public async Task Without_ZFS_the_error_names_the_package()
    {
        Assert.SkipWhen(File.Exists("/usr/sbin/zfs") || File.Exists("/sbin/zfs"), "this host has zfs");
        using PoolHome home = new();
        home.Pools.Create("big", directory: null, "rpool/volumes");
        VolumeException refused = await Assert.ThrowsAsync<VolumeException>(() => home.Pools.Get("big").ListAsync(Cancellation));
        Assert.Contains("zfsutils-linux", refused.Message, StringComparison.Ordinal);
    }
}
