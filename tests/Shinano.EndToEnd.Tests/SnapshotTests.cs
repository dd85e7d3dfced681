using System.Diagnostics;

namespace Shinano.EndToEnd.Tests;

/// <summary>Snapshots of a domain, memory and two disks together: taken while it writes, and reverted to in an order of one's own.</summary>
public sealed class SnapshotTests(DiskGuestFiles files) : IClassFixture<DiskGuestFiles>
{
    /// <summary>One number goes to memory and both disks, over and over, in one step each: wherever the guest is stopped, they are at most one apart.</summary>
    private const string Writes =
        "(i=0; while :; do i=$((i+1)); echo $i 1<>/a/n; sync; echo $i 1<>/b/n; sync; done) & writer=$!; ";

    private int _looks;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_domain_goes_back_to_its_snapshots_in_any_order_with_its_memory_and_its_disks()
    {
        await using Host host = Host.Create();
        await MakeVolumeAsync(host, "tank/a");
        await MakeVolumeAsync(host, "tank/b");
        string path = host.Configuration("s", $"memory = 192\nvcpus = 2\n{files.Boot}\ndisk = [ 'vol:tank/a,xvda,w', 'vol:tank/b,xvdb,w' ]");
        using (Process xm = host.Start("xm", ["create", "-c", path]))
        {
            await xm.StandardInput.WriteLineAsync(
                "mkdir -p /a /b; mount -t ext4 /dev/xvda /a; mount -t ext4 /dev/xvdb /b; dmesg -c >/dev/null; head -c 1000000 /dev/urandom >/a/data; md5sum /a/data >/a/sum; "
                + Writes + Becomes("one"));
            await GuestConsole.ReadUntilAsync(xm, "now=one");
            Assert.Contains("created", (await host.SucceedAsync("xm", "snapshot-create", "s", "one")).Output, StringComparison.Ordinal);
            await xm.StandardInput.WriteLineAsync(Becomes("two"));
            await GuestConsole.ReadUntilAsync(xm, "now=two");
            await host.SucceedAsync("xm", "snapshot-create", "s", "two");
            await xm.StandardInput.WriteLineAsync(Becomes("three"));
            await GuestConsole.ReadUntilAsync(xm, "now=three");
            xm.Kill();
        }

        await DamagedAsync(host);
        Assert.Equal("one.one.one", await RevertAsync(host, "one", Becomes("four"), "now=four"));
        Assert.Equal("two.two.two", await RevertAsync(host, "two", Becomes("five"), "now=five"));
        await host.SucceedAsync("xm", "snapshot-create", "s", "three");
        Assert.Matches(@"\n\* three .* two\n", (await host.SucceedAsync("xm", "snapshot-list", "s")).Output);
        await host.SucceedAsync("xm", "snapshot-delete", "s", "two");
        await host.SucceedAsync("xm", "destroy", "s");
        Assert.Equal("five.five.five", await RevertAsync(host, "three", "echo se''en=1", "seen=1"));
        Assert.Equal("one.one.one", await RevertAsync(host, "one", "kill %1; wait %1; umount /a; umount /b; poweroff -f"));
        await host.SucceedAsync("xm", "snapshot-delete", "s", "one");
        await host.SucceedAsync("xm", "snapshot-delete", "s", "three");
        foreach (string volume in (string[])["a", "b"])
        {
            string image = Path.Combine(host.Home, $"{volume}.img");
            await host.SucceedAsync("xvol", "export", "-f", "raw", $"tank/{volume}", image);
            await Ext4.AssertCleanAsync(image);
        }

        await host.SucceedAsync("xvol", "check", "tank");
    }

    /// <summary>A snapshot that is not whole is refused, and the domain runs on.</summary>
    private static async Task DamagedAsync(Host host)
    {
        string memory = Directory.EnumerateFiles(Path.Combine(host.Home, "state", "snapshots"), "one.save", SearchOption.AllDirectories).Single();
        byte[] whole = await File.ReadAllBytesAsync(memory, Cancellation);
        byte[] changed = [.. whole];
        changed[whole.Length / 2] ^= 1;
        foreach ((byte[] content, string message) in ((byte[], string)[])[(changed, "checksum"), (whole[..^9], "ends in section")])
        {
            await File.WriteAllBytesAsync(memory, content, Cancellation);
            ToolResult refused = await host.XmAsync("snapshot-revert", "s", "one");
            Assert.Equal(1, refused.ExitCode);
            Assert.Contains(message, refused.Error, StringComparison.Ordinal);
        }

        await File.WriteAllBytesAsync(memory, whole, Cancellation);
        Assert.Matches(@"\ns +1 ", (await host.SucceedAsync("xm", "list")).Output);
    }

    private static string Becomes(string state) => $"state={state}; echo $state >/a/state; echo $state >/b/state; sync; echo now''=$state";

    /// <summary>Reverts, looks at memory and disks, and has the guest do something.</summary>
    /// <returns>What memory and each disk say.</returns>
    private async Task<string> RevertAsync(Host host, string snapshot, string then, string? until = null)
    {
        // The console shows again what it showed before, earlier looks among it.
        string look = $"look-{++_looks}";
        using Process xm = host.Start("xm", ["snapshot-revert", "-c", "s", snapshot]);
        await xm.StandardInput.WriteLineAsync(
            "kill -STOP %1; until grep -q '^State:.T' /proc/$writer/status; do :; done; a=$(cat /a/n); b=$(cat /b/n); kill -CONT %1; while [ $(cat /b/n) -lt $((b + 3)) ]; do :; done; "
            + $"echo {look[..2]}''{look[2..]} apart=$((a - b)) $(md5sum -c /a/sum) $({KernelTrouble.Count}) $state.$(cat /a/state).$(cat /b/state)");
        string[] said = (await GuestConsole.ReadUntilAsync(xm, look + " ")).Split(' ');
        Assert.Contains(said[1], (string[])["apart=0", "apart=1"]);
        Assert.Equal(["/a/data:", "OK", "trouble=0"], said[2..5]);
        await xm.StandardInput.WriteLineAsync(then);
        if (until is not null)
        {
            await GuestConsole.ReadUntilAsync(xm, until);
            xm.Kill();
        }
        else
        {
            await xm.WaitForExitAsync(Cancellation);
            Assert.Equal(0, xm.ExitCode);
        }

        return said[5];
    }

    private static async Task MakeVolumeAsync(Host host, string volume)
    {
        string image = Path.Combine(host.Home, "ext4.img");
        await File.WriteAllBytesAsync(image, new byte[32 << 20], Cancellation);
        using (Process make = Process.Start(new ProcessStartInfo("/usr/sbin/mkfs.ext4", ["-q", "-F", image]))!)
        {
            await make.WaitForExitAsync(Cancellation);
            Assert.Equal(0, make.ExitCode);
        }

        await host.SucceedAsync("xvol", "import", image, volume);
        File.Delete(image);
    }
}
