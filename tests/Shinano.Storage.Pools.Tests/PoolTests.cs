using System.Diagnostics;
using System.Text;
using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Pools.Tests;

/// <summary>What ZFS's words do, and how their refusals are worded.</summary>
public sealed class PoolTests : IDisposable
{
    private const int Mib = 1 << 20;

    private readonly PoolHome _home = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private DirectoryPool Pool => _home.Pool;

    public void Dispose() => _home.Dispose();

    [Fact]
    public async Task The_classic_cloning_sequence()
    {
        await CreateAsync("tank/win", 8 * Mib);
        await _home.WriteAsync("tank/win", 0, Mib, 1);
        await Pool.SnapshotAsync(N("tank/win@today"), Cancellation);
        await _home.WriteAsync("tank/win", 0, 4096, 2);
        await Pool.CloneAsync(N("tank/win@today"), N("tank/win-clone"), Cancellation);
        await _home.WriteAsync("tank/win-clone", 4096, 4096, 3);
        Assert.Equal((2, 1), (await _home.ByteAsync("tank/win", 0), await _home.ByteAsync("tank/win", 4096)));
        Assert.Equal((1, 3), (await _home.ByteAsync("tank/win-clone", 0), await _home.ByteAsync("tank/win-clone", 4096)));
        Assert.Equal(1, await _home.ByteAsync("tank/win@today", 0));
        Assert.Equal(["tank", "tank/win", "tank/win@today", "tank/win-clone"], await _home.NamesAsync());
        VolumeInfo clone = (await Pool.ListAsync(Cancellation)).Single(info => info.Name == "tank/win-clone");
        Assert.Equal(("tank/win@today", 8L * Mib, 2), (clone.Origin, clone.VolumeSize!.Value, clone.Layers!.Value));
        Assert.True(clone.Used < Mib / 2 && clone.Referenced > Mib, clone.ToString());
        await _home.AssertSoundAsync();
    }

    [Fact]
    public async Task Rollback_goes_back_and_refuses_to_lose_snapshots_unasked()
    {
        await CreateAsync("tank/v", 4 * Mib);
        await _home.WriteAsync("tank/v", 0, 512, 1);
        await Pool.SnapshotAsync(N("tank/v@a"), Cancellation);
        await _home.WriteAsync("tank/v", 0, 512, 2);
        await Pool.SnapshotAsync(N("tank/v@b"), Cancellation);
        await _home.WriteAsync("tank/v", 0, 512, 3);
        await Pool.RollbackAsync(N("tank/v@b"), destroyNewer: false, Cancellation);
        Assert.Equal(2, await _home.ByteAsync("tank/v", 0));
        Assert.Equal(
            "cannot rollback to 'tank/v@a': more recent snapshots exist\nuse '-r' to force deletion of the following snapshots:\ntank/v@b",
            await RefusalAsync(() => Pool.RollbackAsync(N("tank/v@a"), destroyNewer: false, Cancellation)));
        await Pool.RollbackAsync(N("tank/v@a"), destroyNewer: true, Cancellation);
        Assert.Equal(1, await _home.ByteAsync("tank/v", 0));
        Assert.Equal(["tank", "tank/v", "tank/v@a"], await _home.NamesAsync());
        await _home.AssertSoundAsync();
    }

    [Fact]
    public async Task Reverting_goes_to_any_snapshot_and_back_and_loses_none()
    {
        await CreateAsync("tank/v", 4 * Mib);
        await CreateAsync("tank/w", 4 * Mib);
        foreach (byte value in (byte[])[1, 2, 3])
        {
            await _home.WriteAsync("tank/v", 0, 512, value);
            await _home.WriteAsync("tank/w", 0, 512, value);
            await Pool.SnapshotAsync(N($"tank/v@s{value}"), Guid.NewGuid(), Cancellation);
            await Pool.SnapshotAsync(N($"tank/w@s{value}"), Guid.NewGuid(), Cancellation);
        }

        foreach (byte value in (byte[])[1, 3, 2, 3, 1])
        {
            await _home.WriteAsync("tank/v", 0, 512, 99);
            await Pool.RevertAsync([Target($"tank/v@s{value}"), Target($"tank/w@s{value}")], Cancellation);
            Assert.Equal((value, value), (await _home.ByteAsync("tank/v", 0), await _home.ByteAsync("tank/w", 0)));
        }

        Assert.Equal(3, (await _home.NamesAsync()).Count(name => name.StartsWith("tank/v@", StringComparison.Ordinal)));

        // All or none.
        await using (IBlockImage held = await _home.OpenAsync("tank/w"))
        {
            await Assert.ThrowsAsync<VolumeBusyException>(() => Pool.RevertAsync([Target("tank/v@s2"), Target("tank/w@s2")], Cancellation));
            Assert.NotNull(Pool.FindHolder(N("tank/w")));
        }

        Assert.Null(Pool.FindHolder(N("tank/w")));
        Assert.Equal(
            "cannot revert to 'tank/w@s2': it is another snapshot of that name",
            await RefusalAsync(() => Pool.RevertAsync([Target("tank/v@s2"), (N("tank/w@s2"), Guid.NewGuid())], Cancellation)));
        Assert.Equal((1, 1), (await _home.ByteAsync("tank/v", 0), await _home.ByteAsync("tank/w", 0)));
        Assert.Null(Pool.FindSnapshot(N("tank/v@nothing")));

        // A branch goes with its last snapshot; the others stay what they are.
        await Pool.SnapshotAsync(N("tank/v@branch"), Cancellation);
        await Pool.DestroyAsync(N("tank/v@s2"), snapshots: false, clones: false, null, Cancellation);
        await Pool.RevertAsync([Target("tank/v@s3")], Cancellation);
        Assert.Equal((3, 1), (await _home.ByteAsync("tank/v", 0), await _home.ByteAsync("tank/v@branch", 0)));
        await _home.AssertSoundAsync();
    }

    private (VolumeName Name, Guid Guid) Target(string snapshot) => (N(snapshot), Pool.FindSnapshot(N(snapshot))!.Guid);

    [Fact]
    public async Task Promote_turns_clone_and_origin_around()
    {
        await CreateAsync("tank/old", 4 * Mib);
        await _home.WriteAsync("tank/old", 0, 512, 1);
        await Pool.SnapshotAsync(N("tank/old@a"), Cancellation);
        await Pool.SnapshotAsync(N("tank/old@b"), Cancellation);
        await Pool.CloneAsync(N("tank/old@a"), N("tank/new"), Cancellation);
        Assert.Equal("cannot promote 'tank/old': not a cloned volume", await RefusalAsync(() => Pool.PromoteAsync(N("tank/old"), Cancellation)));
        Assert.Equal(
            "cannot destroy 'tank/old': volume has dependent clones\nuse '-R' to destroy the following datasets:\ntank/new",
            await RefusalAsync(() => Pool.DestroyAsync(N("tank/old"), snapshots: true, clones: false, null, Cancellation)));
        await Pool.PromoteAsync(N("tank/new"), Cancellation);
        Assert.Equal(["tank", "tank/new", "tank/new@a", "tank/old", "tank/old@b"], await _home.NamesAsync());
        await Pool.DestroyAsync(N("tank/old"), snapshots: true, clones: false, null, Cancellation);
        Assert.Equal(1, await _home.ByteAsync("tank/new", 0));
        await _home.AssertSoundAsync();
    }

    [Fact]
    public async Task A_destroyed_snapshot_gives_its_layer_to_the_next()
    {
        await CreateAsync("tank/v", 8 * Mib);
        for (int i = 1; i <= 4; i++)
        {
            await _home.WriteAsync("tank/v", i * Mib, Mib, (byte)i);
            await Pool.SnapshotAsync(N($"tank/v@{i}"), Cancellation);
        }

        // Zeroes of an upper layer hide what is below.
        await using (IBlockImage image = await _home.OpenAsync("tank/v"))
        {
            await image.WriteZeroesAsync(2 * Mib, Mib, mayUnmap: true, Cancellation);
        }

        byte[] third = await _home.ReadAsync("tank/v@3");
        byte[] head = await _home.ReadAsync("tank/v");
        foreach (int i in (int[])[2, 1, 4])
        {
            await Pool.DestroyAsync(N($"tank/v@{i}"), snapshots: false, clones: false, null, Cancellation);
            await _home.AssertSoundAsync();
        }

        Assert.Equal(third, await _home.ReadAsync("tank/v@3"));
        Assert.Equal(head, await _home.ReadAsync("tank/v"));
        Assert.Equal(2, (await Pool.ListAsync(Cancellation)).Single(info => info.Name == "tank/v").Layers);
    }

    [Theory]
    [InlineData("off")]
    [InlineData("zstd")]
    public async Task Flatten_makes_a_clone_independent(string compression)
    {
        await Pool.SetAsync(N("tank"), "compression", compression, Cancellation);
        await CreateAsync("tank/base", 8 * Mib);
        await _home.WriteAsync("tank/base", 4096, 3 * Mib, 7);
        await Pool.SnapshotAsync(N("tank/base@s"), Cancellation);
        await Pool.CloneAsync(N("tank/base@s"), N("tank/c"), Cancellation);
        await _home.WriteAsync("tank/c", 0, 8192, 8);
        byte[] before = await _home.ReadAsync("tank/c");
        await Pool.FlattenAsync(N("tank/c"), null, Cancellation);
        await Pool.DestroyAsync(N("tank/base"), snapshots: true, clones: false, null, Cancellation);
        Assert.Equal(before, await _home.ReadAsync("tank/c"));
        VolumeInfo info = (await Pool.ListAsync(Cancellation)).Single(info => info.Name == "tank/c");
        Assert.Equal((null, 1), (info.Origin, info.Layers));
        Assert.True(compression == "off" ? info.Used > 3 * Mib : info.Used < Mib, info.ToString());
        await _home.WriteAsync("tank/c", 512, 512, 9);
        Assert.Equal(9, await _home.ByteAsync("tank/c", 512));
        await _home.AssertSoundAsync();
    }

    [Fact]
    public async Task A_volume_in_use_is_refused_with_its_holder()
    {
        await CreateAsync("tank/v", Mib);
        await Pool.SnapshotAsync(N("tank/v@a"), Cancellation);
        await using IBlockImage image = await _home.OpenAsync("tank/v");
        foreach ((string action, Func<Task> act) in ((string, Func<Task>)[])[
            ("destroy", () => Pool.DestroyAsync(N("tank/v"), snapshots: true, clones: false, null, Cancellation)),
            ("rollback", () => Pool.RollbackAsync(N("tank/v@a"), destroyNewer: false, Cancellation)),
            ("create snapshot", () => Pool.SnapshotAsync(N("tank/v@b"), Cancellation)),
            ("resize", () => Pool.ResizeAsync(N("tank/v"), 2 * Mib, Cancellation)),
            ("flatten", () => Pool.FlattenAsync(N("tank/v"), null, Cancellation))])
        {
            string message = await RefusalAsync(act);
            Assert.StartsWith($"cannot {action} 'tank/v", message, StringComparison.Ordinal);
            Assert.Contains("dataset is busy: in use by this process", message, StringComparison.Ordinal);
        }

        // A clone of a snapshot needs nobody's leave.
        await Pool.CloneAsync(N("tank/v@a"), N("tank/c"), Cancellation);
        Assert.Contains((await Pool.ListAsync(Cancellation)), info => info is { Name: "tank/v", InUseBy: not null });
    }

    [Fact]
    public async Task Rename_resize_quota_and_properties()
    {
        await CreateAsync("tank/a", 2 * Mib);
        await Pool.SnapshotAsync(N("tank/a@s"), Cancellation);
        await Pool.CloneAsync(N("tank/a@s"), N("tank/c"), Cancellation);
        await Pool.RenameAsync(N("tank/a@s"), N("tank/a@t"), Cancellation);
        await Pool.RenameAsync(N("tank/a"), N("tank/vols/b"), Cancellation);
        Assert.Equal("tank/vols/b@t", (await Pool.ListAsync(Cancellation)).Single(info => info.Name == "tank/c").Origin);
        Assert.Equal("cannot create 'tank/vols/b/d': 'tank/vols/b' is a volume, which can have no children", await RefusalAsync(() => CreateAsync("tank/vols/b/d", 512)));
        Assert.Equal("cannot rename to 'tank/c': dataset already exists", await RefusalAsync(() => Pool.RenameAsync(N("tank/vols/b"), N("tank/c"), Cancellation)));
        await Pool.SetAsync(N("tank/vols/b"), "volsize", "4M", Cancellation);
        Assert.Equal(4 * Mib, (await _home.ReadAsync("tank/vols/b")).Length);
        Assert.Contains("can only grow", await RefusalAsync(() => Pool.ResizeAsync(N("tank/vols/b"), Mib, Cancellation)), StringComparison.Ordinal);
        await Pool.SetAsync(N("tank"), "quota", "7M", Cancellation);
        Assert.Contains("out of space", await RefusalAsync(() => CreateAsync("tank/big", 2 * Mib)), StringComparison.Ordinal);
        await CreateAsync("tank/small", Mib);
        await Pool.SetAsync(N("tank/small"), "readonly", "on", Cancellation);
        await Assert.ThrowsAsync<IOException>(() => _home.WriteAsync("tank/small", 0, 512, 1));
        Assert.Equal("cannot set property for 'tank/small': invalid property 'colour'", await RefusalAsync(() => Pool.SetAsync(N("tank/small"), "colour", "red", Cancellation)));
        Assert.Equal("cannot set property for 'tank/small': 'quota' does not apply to datasets of this type", await RefusalAsync(() => Pool.SetAsync(N("tank/small"), "quota", "1M", Cancellation)));
        Assert.Equal("cannot set property for 'tank': 'compression' must be one of 'off | zstd'", await RefusalAsync(() => Pool.SetAsync(N("tank"), "compression", "gzip", Cancellation)));
        await _home.AssertSoundAsync();
    }

    [Theory]
    [InlineData("", "empty component in name")]
    [InlineData("/tank/a", "leading slash in name")]
    [InlineData("tank/", "trailing slash in name")]
    [InlineData("tank//a", "empty component in name")]
    [InlineData("tank/a b", "invalid character ' ' in name")]
    [InlineData("tank/a@b@c", "multiple '@' delimiters in name")]
    [InlineData("tank/a@", "empty component in name")]
    [InlineData("1tank/a", "name must begin with a letter")]
    [InlineData("tank/../a", "self reference, '.' or '..' is found in name")]
    [InlineData("tank@a", "a pool has no snapshots, its volumes have")]
    public void Names_follow_the_rules_of_ZFS(string name, string reason) =>
        Assert.Equal($"cannot open '{name}': {reason}", Assert.Throws<VolumeException>(() => VolumeName.Parse(name)).Message);

    [Fact]
    public async Task What_does_not_exist_is_said_so()
    {
        await CreateAsync("tank/v", Mib);
        Assert.Equal("cannot open 'tank/none': dataset does not exist", await RefusalAsync(() => _home.Pools.ResolveAsync("tank/none", Cancellation)));
        Assert.Equal("cannot open 'pool2': no such pool", await RefusalAsync(() => _home.Pools.ResolveAsync("pool2/v", Cancellation)));
        Assert.Equal("cannot open 'tank/v@x': dataset does not exist", await RefusalAsync(() => Pool.CloneAsync(N("tank/v@x"), N("tank/c"), Cancellation)));
        Assert.Equal("cannot create 'tank/v': dataset already exists", await RefusalAsync(() => CreateAsync("tank/v", Mib)));
        Assert.Equal(await _home.Pools.ResolveAsync("tank/v", Cancellation), await _home.Pools.ResolveAsync("/dev/zvol/dsk/tank/v", Cancellation));
    }

    [Fact]
    public async Task Import_and_export_keep_the_contents()
    {
        byte[] content = new byte[3 * Mib];
        Encoding.ASCII.GetBytes("boot").CopyTo(content, 0);
        new Random(3).NextBytes(content.AsSpan(Mib, 300_000));
        await File.WriteAllBytesAsync(_home["a.raw"], content, Cancellation);
        await VolumeReceiver.ImportAsync(Pool, N("tank/a"), new ImageReference(_home["a.raw"], ImageFormat.Raw), null, Cancellation);
        await VolumeReceiver.ExportAsync(Pool, N("tank/a"), _home["b.qcow2"], ImageFormat.Qcow2, compress: true, null, Cancellation);
        await VolumeReceiver.ImportAsync(Pool, N("tank/b"), new ImageReference(_home["b.qcow2"], ImageFormat.Qcow2) { Backing = BackingPolicy.Refuse }, null, Cancellation);
        await VolumeReceiver.ExportAsync(Pool, N("tank/b"), _home["c.raw"], ImageFormat.Raw, compress: false, null, Cancellation);
        Assert.Equal(content, await File.ReadAllBytesAsync(_home["c.raw"], Cancellation));
        if (File.Exists("/usr/bin/qemu-img"))
        {
            using Process compare = Process.Start("/usr/bin/qemu-img", ["compare", "-q", "-f", "raw", "-F", "qcow2", _home["a.raw"], _home["b.qcow2"]]);
            await compare.WaitForExitAsync(Cancellation);
            Assert.Equal(0, compare.ExitCode);
        }

        Assert.Contains("the file exists", await RefusalAsync(() => VolumeReceiver.ExportAsync(Pool, N("tank/b"), _home["c.raw"], ImageFormat.Raw, compress: false, null, Cancellation)), StringComparison.Ordinal);
        await _home.AssertSoundAsync();
    }

    [Fact]
    public async Task Left_overs_are_found_and_removed()
    {
        await CreateAsync("tank/v", Mib);
        string stray = Path.Combine(Pool.Root, "layers", "0000abcd.qcow2.partial");
        Qcow2Format.Create(stray, Mib);
        Assert.Contains("left over", Assert.Single(await PoolCheck.RunAsync(Pool, null, repair: false, null, Cancellation)), StringComparison.Ordinal);
        Assert.Contains("removed", Assert.Single(await PoolCheck.RunAsync(Pool, null, repair: true, null, Cancellation)), StringComparison.Ordinal);
        Assert.False(File.Exists(stray));
        await _home.AssertSoundAsync();
    }

    private static VolumeName N(string name) => VolumeName.Parse(name);

    private static async Task<string> RefusalAsync(Func<Task> act) => (await Assert.ThrowsAnyAsync<VolumeException>(act)).Message;

    private Task CreateAsync(string name, long size) => Pool.CreateAsync(N(name), size, Cancellation);
}
