namespace Shinano.EndToEnd.Tests;

/// <summary>Volumes as the disks of domains: the cloning of an installed one, as a host with ZFS does it.</summary>
public sealed class VolumeTests(DiskGuestFiles files) : IClassFixture<DiskGuestFiles>
{
    [Fact]
    public async Task A_domain_is_cloned_with_its_volume_and_both_run_and_differ()
    {
        await using Host host = Host.Create();
        _ = files.Boot;
        await host.SucceedAsync("xvol", "create", "-V", "64M", "tank/first");
        string installed = await BootAsync(host, "vol:tank/first", "printf installed | dd of=/dev/xvda bs=512 conv=notrunc,sync,fsync 2>/dev/null");
        Assert.DoesNotContain("found=installed", installed, StringComparison.Ordinal);
        await host.SucceedAsync("xvol", "snapshot", "tank/first@golden");
        await host.SucceedAsync("xvol", "clone", "tank/first@golden", "tank/second");

        Task<string> first = BootAsync(host, "vol:tank/first", "printf original | dd of=/dev/xvda bs=512 conv=notrunc,sync,fsync 2>/dev/null", "first");
        Task<string> second = BootAsync(host, "/dev/zvol/dsk/tank/second", "printf copy | dd of=/dev/xvda bs=512 conv=notrunc,sync,fsync 2>/dev/null", "second");
        Assert.Contains("found=installed", await first, StringComparison.Ordinal);
        Assert.Contains("found=installed", await second, StringComparison.Ordinal);
        Assert.Contains("found=installed", await BootAsync(host, "vol:tank/first@golden", "true", access: "r"), StringComparison.Ordinal);
        Assert.StartsWith("original", await RecordsAsync(host, "tank/first"), StringComparison.Ordinal);
        Assert.StartsWith("copy", await RecordsAsync(host, "tank/second"), StringComparison.Ordinal);
        ToolResult check = await host.SucceedAsync("xvol", "check", "tank");
        Assert.Equal(0, check.ExitCode);
    }

    [Fact]
    public async Task A_volume_is_snapshotted_while_a_domain_writes_to_it()
    {
        await using Host host = Host.Create();
        await host.SucceedAsync("xvol", "create", "-V", "64M", "tank/live");
        string path = host.Configuration("live", $"memory = 192\n{files.Boot}\ndisk = [ 'vol:tank/live,xvda,w' ]");
        using System.Diagnostics.Process xm = host.Start("xm", ["create", "-c", path]);
        using Conversation console = new(xm);
        await console.TypeAsync(
            "i=0; while [ ! -e /tmp/stop ]; do printf '%-4096s' $i | dd of=/dev/xvda bs=4096 seek=$i conv=notrunc,fsync 2>/dev/null && echo kept=$i=; i=$((i+1)); done &\n");
        await console.UntilAsync("kept=5=");
        await host.SucceedAsync("xvol", "snapshot", "tank/live@one");
        string first = await RecordsAsync(host, "tank/live@one");
        await console.UntilAsync("kept=15=");
        await host.SucceedAsync("xvol", "snapshot", "tank/live@two");
        ToolResult again = await host.RunAsync("xvol", ["snapshot", "tank/live@two"]);
        Assert.NotEqual(0, again.ExitCode);
        Assert.Contains("already exists", again.Error, StringComparison.Ordinal);
        ToolResult resize = await host.RunAsync("xvol", ["resize", "tank/live", "128M"]);
        Assert.NotEqual(0, resize.ExitCode);
        Assert.Contains("dataset is busy: in use by domain", resize.Error, StringComparison.Ordinal);
        await console.UntilAsync("kept=25=");
        await console.TypeAsync("touch /tmp/stop; wait; poweroff -f\n");
        await console.EndAsync();

        // Each has what was synced before it, and the volume has all.
        string second = await RecordsAsync(host, "tank/live@two");
        string last = await RecordsAsync(host, "tank/live");
        Assert.StartsWith(string.Concat(Enumerable.Range(0, 6).Select(i => $"{i,-4096}")), first, StringComparison.Ordinal);
        Assert.StartsWith(string.Concat(Enumerable.Range(0, 16).Select(i => $"{i,-4096}")), second, StringComparison.Ordinal);
        Assert.StartsWith(string.Concat(Enumerable.Range(0, 26).Select(i => $"{i,-4096}")), last, StringComparison.Ordinal);
        Assert.Equal(first, await RecordsAsync(host, "tank/live@one"));
        await host.SucceedAsync("xvol", "check", "tank");
    }

    [Fact]
    public async Task A_clone_becomes_independent_while_a_domain_writes_to_it()
    {
        const int Block = 4096;
        const int Blocks = 192 << 8;
        await using Host host = Host.Create();
        byte[] golden = new byte[Blocks * Block];
        new Random(3).NextBytes(golden);
        string file = Path.Combine(host.Home, "golden.raw");
        await File.WriteAllBytesAsync(file, golden, TestContext.Current.CancellationToken);
        await host.SucceedAsync("xvol", "import", file, "tank/golden");
        await host.SucceedAsync("xvol", "snapshot", "tank/golden@1");
        await host.SucceedAsync("xvol", "clone", "tank/golden@1", "tank/live");
        ToolResult idle = await host.RunAsync("xvol", ["flatten", "--background", "tank/live"]);
        Assert.Contains("no domain uses it", idle.Error, StringComparison.Ordinal);
        string path = host.Configuration("live", $"memory = 192\n{files.Boot}\ndisk = [ 'vol:tank/live,xvda,w' ]");
        using System.Diagnostics.Process xm = host.Start("xm", ["create", "-c", path]);
        using Conversation console = new(xm);
        await console.TypeAsync(
            $"i=0; while [ ! -e /tmp/stop ]; do printf '%-4096s' $i | dd of=/dev/xvda bs={Block} seek=$((i*997%{Blocks})) conv=notrunc,fsync 2>/dev/null && echo kept=$i=; i=$((i+1)); done &\n");
        await console.TypeAsync("while [ ! -e /tmp/stop ]; do cat /dev/xvda > /dev/null; done &\n");
        await console.UntilAsync("kept=5=");
        await host.SucceedAsync("xvol", "flatten", "--background", "tank/live");
        string progress = (await host.SucceedAsync("xvol", "get", "-H", "flatten", "tank/live")).Output;
        string layers = (await host.SucceedAsync("xvol", "get", "-H", "layers", "tank/live")).Output;
        Assert.True(progress.EndsWith("%\n", StringComparison.Ordinal) || layers.EndsWith("\t1\n", StringComparison.Ordinal), progress + layers);
        TestContext.Current.TestOutputHelper?.WriteLine(progress);
        await host.SucceedAsync("xvol", "snapshot", "tank/live@meanwhile");
        await host.SucceedAsync("xvol", "flatten", "tank/live");
        Assert.Equal("tank/live\tlayers\t1\n", (await host.SucceedAsync("xvol", "get", "-H", "layers", "tank/live")).Output);
        await console.UntilAsync("kept=40=");
        await console.TypeAsync("touch /tmp/stop; wait; echo all-written; poweroff -f\n");
        await console.EndAsync();

        // Every block is what the golden image has, or what the guest wrote there; what it was told is kept is what it wrote.
        File.Delete(file);
        await host.SucceedAsync("xvol", "export", "-f", "raw", "tank/live", file);
        byte[] found = await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken);
        Dictionary<int, int> written = [];
        for (int i = 0; i < Blocks; i++)
        {
            Assert.True(i > 40 || Holds(found, i), $"record {i}");
            if (!Holds(found, i))
            {
                break;
            }

            written.Add(i * 997 % Blocks, i);
        }

        for (int block = 0; block < Blocks; block++)
        {
            Assert.True(
                written.ContainsKey(block) || found.AsSpan(block * Block, Block).SequenceEqual(golden.AsSpan(block * Block, Block)), $"block {block}");
        }

        await host.SucceedAsync("xvol", "destroy", "-r", "tank/live");
        await host.SucceedAsync("xvol", "destroy", "-r", "tank/golden");
        await host.SucceedAsync("xvol", "check", "tank");

        static bool Holds(byte[] disk, int record) =>
            System.Text.Encoding.ASCII.GetString(disk, record * 997 % Blocks * Block, Block) == $"{record,-Block}";
    }

    /// <remarks>A hundred snapshots take a minute or two: a part of SHINANO_END_TO_END=all.</remarks>
    [Fact]
    public async Task A_domain_merges_layers_by_itself_when_there_are_a_hundred()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("SHINANO_END_TO_END") == "all", "set SHINANO_END_TO_END=all to take a hundred snapshots");
        await using Host host = Host.Create();
        await host.SucceedAsync("xvol", "create", "-V", "64M", "tank/deep");
        for (int i = 0; i < 98; i++)
        {
            await host.SucceedAsync("xvol", "snapshot", $"tank/deep@{i}");
        }

        string path = host.Configuration("deep", $"memory = 192\n{files.Boot}\ndisk = [ 'vol:tank/deep,xvda,w' ]");
        using System.Diagnostics.Process xm = host.Start("xm", ["create", "-c", path]);
        using Conversation console = new(xm);
        await console.TypeAsync("printf deep | dd of=/dev/xvda bs=512 conv=notrunc,sync,fsync 2>/dev/null && echo kept=1=\n");
        await console.UntilAsync("kept=1=");
        await host.SucceedAsync("xvol", "snapshot", "tank/deep@last");

        while ((await host.SucceedAsync("xvol", "get", "-H", "flatten", "tank/deep")).Output.EndsWith("%\n", StringComparison.Ordinal))
        {
        }

        Assert.Equal("tank/deep\tlayers\t51\n", (await host.SucceedAsync("xvol", "get", "-H", "layers", "tank/deep")).Output);
        await console.TypeAsync("poweroff -f\n");
        await console.EndAsync();
        Assert.StartsWith("deep", await RecordsAsync(host, "tank/deep"), StringComparison.Ordinal);
        await host.SucceedAsync("xvol", "check", "tank");
    }

    private static async Task<string> RecordsAsync(Host host, string volume)
    {
        string file = Path.Combine(host.Home, "exported");
        await host.SucceedAsync("xvol", "export", "-f", "raw", volume, file);
        byte[] content = await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken);
        File.Delete(file);
        return System.Text.Encoding.ASCII.GetString(content, 0, 256 * 4096);
    }

    [Fact]
    public async Task A_volume_in_use_is_not_taken_away_and_a_missing_or_read_only_one_is_named()
    {
        await using Host host = Host.Create();
        await host.SucceedAsync("xvol", "create", "-V", "64M", "tank/used");
        await host.SucceedAsync("xvol", "snapshot", "tank/used@before");
        await host.SucceedAsync("xm", "create", "-p", host.Configuration("user", $"memory = 192\n{files.Boot}\ndisk = [ 'vol:tank/used,xvda,w' ]"));
        ToolResult destroy = await host.RunAsync("xvol", ["destroy", "-r", "tank/used"]);
        Assert.NotEqual(0, destroy.ExitCode);
        Assert.Contains("tank/used", destroy.Error, StringComparison.Ordinal);
        ToolResult again = await host.RunAsync("xm", ["create", host.Configuration("other", $"memory = 192\n{files.Boot}\ndisk = [ 'vol:tank/used,xvda,w' ]")]);
        Assert.NotEqual(0, again.ExitCode);
        ToolResult missing = await host.RunAsync("xm", ["block-attach", "user", "vol:tank/nothing", "xvdb", "w"]);
        Assert.NotEqual(0, missing.ExitCode);
        Assert.Contains("tank/nothing", missing.Error, StringComparison.Ordinal);
        ToolResult snapshot = await host.RunAsync("xm", ["block-attach", "user", "vol:tank/used@before", "xvdb", "w"]);
        Assert.NotEqual(0, snapshot.ExitCode);
        Assert.Contains("read-only", snapshot.Error, StringComparison.Ordinal);
        await host.SucceedAsync("xm", "destroy", "user");
        await host.SucceedAsync("xvol", "destroy", "-r", "tank/used");
    }

    /// <summary>Boots a domain with the volume as xvda, prints what its first sector says, runs a command and powers off.</summary>
    private async Task<string> BootAsync(Host host, string volume, string command, string name = "clone", string access = "w")
    {
        string path = host.Configuration(name, $"memory = 192\n{files.Boot}\ndisk = [ '{volume},xvda,{access}' ]");
        ToolResult result = await host.RunAsync("xm", ["create", "-c", path], $"""
            dd if=/dev/xvda bs=512 count=1 2>/dev/null | tr -d '\\000' | sed 's/^/found=/'; echo
            {command}
            poweroff -f

            """);
        Assert.True(result.ExitCode == 0, result.ToString());
        return result.Output;
    }
}
