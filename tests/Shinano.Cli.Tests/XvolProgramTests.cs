using System.Text.Json;

namespace Shinano.Cli.Tests;

/// <summary>xvol, end to end.</summary>
public sealed class XvolProgramTests
{
    [Fact]
    public async Task A_volume_is_made_cloned_listed_and_destroyed()
    {
        await using CliHome home = CliHome.Create();
        foreach (string line in (string[])[
            "create -V 1T -o compression=zstd tank/solaris", "snapshot tank/solaris@today", "clone tank/solaris@today tank/clone",
            "promote tank/clone", "rename tank/clone@today @base", "rollback tank/clone@base", "resize tank/clone 2T", "set readonly=on tank/clone"])
        {
            CliResult result = await XvolAsync(home, line);
            Assert.Equal((0, "", ""), (result.ExitCode, result.Output, result.Error));
        }

        Assert.Equal(
            "tank/clone\t2T\t-\ntank/clone@base\t1T\t-\ntank/solaris\t1T\ttank/clone@base\n",
            (await XvolAsync(home, "list -H -t volume,snapshot -o name,volsize,origin")).Output);
        Assert.StartsWith("NAME ", (await XvolAsync(home, "list")).Output, StringComparison.Ordinal);
        Assert.Equal("tank/clone\treadonly\ton\ntank/clone\tvolsize\t2199023255552\n", (await XvolAsync(home, "get -H -p readonly,volsize tank/clone")).Output);
        using JsonDocument json = JsonDocument.Parse((await XvolAsync(home, "list --json -t snapshot")).Output);
        Assert.Equal("tank/clone@base", json.RootElement[0].GetProperty("name").GetString());
        Assert.Equal("tank: no errors\n", (await XvolAsync(home, "check tank")).Output);
        CliResult refused = await XvolAsync(home, "destroy tank/clone");
        Assert.Equal(
            (1, "Error: cannot destroy 'tank/clone': volume has children\nuse '-r' to destroy the following datasets:\ntank/clone@base\n"),
            (refused.ExitCode, refused.Error));
        Assert.Equal(0, (await XvolAsync(home, "destroy -R tank/clone")).ExitCode);
        Assert.Equal("no datasets available\n", (await XvolAsync(home, "list -t volume")).Error);
    }

    [Fact]
    public async Task Contents_go_in_and_out()
    {
        await using CliHome home = CliHome.Create();
        byte[] content = new byte[1 << 20];
        new Random(1).NextBytes(content.AsSpan(0, 200_000));
        await File.WriteAllBytesAsync(Path.Combine(home.Directory, "in.img"), content, TestContext.Current.CancellationToken);
        foreach (string line in (string[])[
            "import in.img tank/a", "flatten tank/a", "export -c tank/a out.qcow2", "import out.qcow2 tank/b", "snapshot tank/b@s", "export -f raw tank/b@s out.bin"])
        {
            CliResult result = await XvolAsync(home, line);
            Assert.Equal((0, "", ""), (result.ExitCode, result.Output, result.Error));
        }

        Assert.Equal(content, await File.ReadAllBytesAsync(Path.Combine(home.Directory, "out.bin"), TestContext.Current.CancellationToken));
        CliResult stream = await home.RunAsync("not a stream, although it is longer than the ninety-six bytes that a header has, as it should be for this", "xvol", "receive", "tank/c");
        Assert.Equal((1, "Error: cannot receive: invalid stream (bad magic number, or a version that is not 1)\n"), (stream.ExitCode, stream.Error));
    }

    [Theory]
    [InlineData("create tank/a", 2, "Error: Option '-V' is required.\n'xvol create -h' shows the usage.\n")]
    [InlineData("create -V lots tank/a", 1, "Error: cannot create 'tank/a': bad volume size 'lots': a number, and K, M, G or T\n")]
    [InlineData("create -V 1000 tank/a", 1, "Error: cannot create 'tank/a': volume size must be a multiple of 512 bytes\n")]
    [InlineData("create -V 1G tank", 1, "Error: cannot create 'tank': it is a pool, not a volume\n")]
    [InlineData("create -V 1G tank/a@b", 1, "Error: cannot create 'tank/a@b': operation not applicable to snapshots\n")]
    [InlineData("create -V 1G none/a", 1, "Error: cannot open 'none': no such pool\n")]
    [InlineData("create -V 1G -o colour=red tank/a", 1, "Error: cannot set property for 'tank/a': invalid property 'colour'\n")]
    [InlineData("snapshot tank/a", 1, "Error: cannot create snapshot 'tank/a': missing '@' delimiter in snapshot name\n")]
    [InlineData("snapshot tank/a@b", 1, "Error: cannot create snapshot 'tank/a': dataset does not exist\n")]
    [InlineData("clone tank/a@b other/c", 1, "Error: cannot create 'other/c': source and target pools differ\n")]
    [InlineData("list -t disk", 1, "Error: invalid type 'disk': volume, snapshot, pool or all\n")]
    [InlineData("list tank/none", 1, "Error: cannot open 'tank/none': dataset does not exist\n")]
    [InlineData("import missing.raw tank/a", 1, "Error: 'missing.raw': no such file or device\n")]
    [InlineData("import a.cfg tank/a", 1, "Error: cannot import 'a.cfg': unknown format 'cfg'")]
    [InlineData("import -f qcow2 a.cfg tank/a", 1, "Error: 'a.cfg': this is not a qcow2 image (no magic number at its start)\n")]
    [InlineData("set readonly tank/a", 1, "Error: cannot set property for 'tank/a': missing '=' in 'readonly'\n")]
    [InlineData("frobnicate", 2, "Error: ")]
    [InlineData("pool-create --zfs rpool/x big", 0, "")]
    public async Task Wrong_input_is_explained(string line, int code, string error)
    {
        await using CliHome home = CliHome.Create();
        CliResult result = await XvolAsync(home, line);
        Assert.Equal(code, result.ExitCode);
        Assert.StartsWith(error, result.Error, StringComparison.Ordinal);
        Assert.Equal("", result.Output);
    }

    [Fact]
    public async Task Names_complete_and_each_verb_has_help()
    {
        await using CliHome home = CliHome.Create();
        await XvolAsync(home, "create -V 1M tank/a");
        await XvolAsync(home, "snapshot tank/a@now");
        Assert.Equal("tank/a@now\n", (await home.RunAsync("", "xvol", "complete", "14", "xvol rollback t")).Output);
        Assert.Contains("complete -o default -F _xvol xvol", (await XvolAsync(home, "completion bash")).Output, StringComparison.Ordinal);
        Assert.Contains("_xm xm", (await home.XmAsync("completion", "bash")).Output, StringComparison.Ordinal);
        foreach (string verb in (string[])["create", "snapshot", "clone", "list", "rollback", "promote", "destroy", "rename", "resize", "send", "receive", "import", "export", "check", "get", "set", "flatten"])
        {
            CliResult help = await XvolAsync(home, $"{verb} -h");
            Assert.Equal(0, help.ExitCode);
            Assert.Contains($"xvol {verb}", help.Output, StringComparison.Ordinal);
        }
    }

    private static Task<CliResult> XvolAsync(CliHome home, string line) => home.RunAsync("", "xvol", line.Split(' '));
}
