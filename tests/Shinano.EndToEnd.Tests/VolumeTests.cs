namespace Shinano.EndToEnd.Tests;

/// <summary>Volumes as the disks of domains: the cloning of an installed one, as a host with ZFS does it.</summary>
public sealed class VolumeTests(DiskGuestFiles files) : IClassFixture<DiskGuestFiles>
{
    [Fact]
    public async Task A_domain_is_cloned_with_its_volume_and_both_run_and_differ()
    {
        await using Host host = Host.Create();
        _ = files.Boot;
        await SucceedAsync(host, "xvol", "create", "-V", "1G", "tank/first");
        string installed = await BootAsync(host, "vol:tank/first", "printf installed | dd of=/dev/xvda bs=512 conv=notrunc,sync,fsync 2>/dev/null");
        Assert.DoesNotContain("found=installed", installed, StringComparison.Ordinal);
        await SucceedAsync(host, "xvol", "snapshot", "tank/first@golden");
        await SucceedAsync(host, "xvol", "clone", "tank/first@golden", "tank/second");

        Task<string> first = BootAsync(host, "vol:tank/first", "printf original | dd of=/dev/xvda bs=512 conv=notrunc,sync,fsync 2>/dev/null", "first");
        Task<string> second = BootAsync(host, "/dev/zvol/dsk/tank/second", "printf copy | dd of=/dev/xvda bs=512 conv=notrunc,sync,fsync 2>/dev/null", "second");
        Assert.Contains("found=installed", await first, StringComparison.Ordinal);
        Assert.Contains("found=installed", await second, StringComparison.Ordinal);
        Assert.Contains("found=original", await BootAsync(host, "vol:tank/first", "true"), StringComparison.Ordinal);
        Assert.Contains("found=copy", await BootAsync(host, "vol:tank/second", "true"), StringComparison.Ordinal);
        Assert.Contains("found=installed", await BootAsync(host, "vol:tank/first@golden", "true", access: "r"), StringComparison.Ordinal);
        ToolResult check = await SucceedAsync(host, "xvol", "check", "tank");
        Assert.Equal(0, check.ExitCode);
    }

    [Fact]
    public async Task A_volume_in_use_is_not_taken_away_and_a_missing_or_read_only_one_is_named()
    {
        await using Host host = Host.Create();
        await SucceedAsync(host, "xvol", "create", "-V", "64M", "tank/used");
        await SucceedAsync(host, "xvol", "snapshot", "tank/used@before");
        await SucceedAsync(host, "xm", "create", host.Configuration("user", $"memory = 192\n{files.Boot}\ndisk = [ 'vol:tank/used,xvda,w' ]"));
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
        await SucceedAsync(host, "xm", "destroy", "user");
        await SucceedAsync(host, "xvol", "destroy", "-r", "tank/used");
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

    private static async Task<ToolResult> SucceedAsync(Host host, string tool, params string[] arguments)
    {
        ToolResult result = await host.RunAsync(tool, arguments);
        Assert.True(result.ExitCode == 0, result.ToString());
        return result;
    }
}
