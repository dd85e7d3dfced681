using System.Diagnostics;
using System.Globalization;

namespace Shinano.EndToEnd.Tests;

/// <summary>Debian's kernel copied while it runs: copies go on where it was, with disks, addresses and random numbers of their own.</summary>
public sealed class ForkTests(SaveGuestFiles files) : IClassFixture<SaveGuestFiles>
{
    /// <summary>Not what a host that is too busy leads to as well: lockups and stalls.</summary>
    private const string Trouble = "dmesg | grep -cE 'WARNING: CPU|I/O error|Oops|general protection' | sed 's/^/trouble=/'";

    private const string Address = "00:16:3e:00:00:01";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Copies_go_on_where_the_domain_was_and_each_is_a_machine_of_its_own()
    {
        await using Host host = Host.Create();
        string boot = files.Boot;
        await host.SucceedAsync("xvol", "create", "-V", "64M", "tank/web");
        string path = host.Configuration("web", $"memory = 192\nvcpus = 2\n{boot}\ndisk = [ 'vol:tank/web,xvda,w' ]\nvif = [ 'mac={Address},type=user' ]");
        using Process web = host.Start("xm", ["create", "-c", path]);
        await web.StandardInput.WriteLineAsync(
            "dmesg -c >/dev/null; until [ -s /run/generation ]; do :; done; secret=$((6*7)); born=$(cat /run/generation); printf before | dd of=/dev/xvda bs=512 conv=sync,fsync 2>/dev/null; "
            + "ifconfig eth0 up; (while :; do :; done) & echo rea''dy=1");
        await GuestConsole.ReadUntilAsync(web, "ready=");

        await host.SucceedAsync("xm", "fork", "web", "copy", "-n", "2");
        string[] random = new string[2];
        string[] addresses = new string[2];
        for (int number = 1; number <= 2; number++)
        {
            using Process copy = host.Start("xm", ["console", $"copy-{number}"]);
            await GuestConsole.ReadUntilAsync(copy, "ready=");
            random[number - 1] = await LookAtCopyAsync(copy, $"copy{number}");
            addresses[number - 1] = await NewAddressAsync(copy);
            Assert.Equal("trouble=0", await AskAsync(copy, Trouble, "trouble="));
            await copy.StandardInput.WriteAsync("\u001d");
            copy.StandardInput.Close();
        }

        Assert.NotEqual(random[0], random[1]);
        Assert.NotEqual(addresses[0], addresses[1]);
        string list = (await host.SucceedAsync("xm", "list")).Output;
        Assert.Contains("copy-1", list, StringComparison.Ordinal);

        // The domain itself has noticed nothing.
        Assert.Equal("secret=42", await AskAsync(web, "echo sec''ret=$secret", "secret="));
        Assert.Equal("disk=before", await AskAsync(web, "echo di''sk=$(head -c 6 /dev/xvda)", "disk="));
        Assert.Equal("same=yes", await AskAsync(web, "[ \"$born\" = \"$(cat /run/generation)\" ] && echo sa''me=yes", "same="));
        Assert.Equal(Address, (await AskAsync(web, "echo ma''c=$(cat /sys/class/net/eth0/address)", "mac="))[4..]);
        Assert.Equal("trouble=0", await AskAsync(web, Trouble, "trouble="));

        // A copy of a copy outlives what it is a copy of.
        await host.SucceedAsync("xm", "fork", "copy-1", "deep");
        await host.SucceedAsync("xm", "destroy", "copy-1");
        await host.SucceedAsync("xm", "destroy", "web");
        using (Process deep = host.Start("xm", ["console", "deep"]))
        {
            await GuestConsole.ReadUntilAsync(deep, "random=");
            Assert.Equal("disk=copy1", await AskAsync(deep, "echo di''sk=$(head -c 5 /dev/xvda)", "disk="));
            Assert.Equal("secret=42", await AskAsync(deep, "echo sec''ret=$secret", "secret="));
            deep.StandardInput.Close();
        }

        await host.SucceedAsync("xm", "destroy", "deep");
        await host.SucceedAsync("xm", "destroy", "copy-2");
        await host.SucceedAsync("xvol", "check", "tank");
        string volumes = (await host.SucceedAsync("xvol", "list")).Output;
        Assert.Contains("tank/web-fork-copy-1-fork-deep", volumes, StringComparison.Ordinal);
        Assert.DoesNotContain("vnic", (await host.SucceedAsync("xvnic", "list")).Output, StringComparison.Ordinal);
        Assert.DoesNotContain("mac", (await host.SucceedAsync("xenstore-ls", "/local/domain/0")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_cannot_be_copied_is_refused_before_anything_happens_and_temporary_copies_leave_nothing()
    {
        await using Host host = Host.Create();
        string image = Path.Combine(host.Home, "disk.img");
        await File.WriteAllBytesAsync(image, new byte[1 << 20], Cancellation);
        await host.SucceedAsync("xvol", "create", "-V", "64M", "tank/one");
        string path = host.Configuration("one", $"memory = 192\n{files.Boot}\ndisk = [ 'vol:tank/one,xvda,w', 'file:{image},xvdb,w' ]");
        using Process one = host.Start("xm", ["create", "-c", path]);
        Assert.Equal("up=1", await AskAsync(one, "echo u''p=1", "up="));
        Assert.Contains("is no volume", await RefusedAsync(host, "fork", "one", "two"), StringComparison.Ordinal);
        await host.SucceedAsync("xm", "block-detach", "one", "xvdb");
        Assert.Contains("exists already", await RefusedAsync(host, "fork", "one", "one"), StringComparison.Ordinal);
        Assert.Contains("copies", await RefusedAsync(host, "fork", "one", "two", "-n", "0"), StringComparison.Ordinal);
        Assert.Contains("no domain", await RefusedAsync(host, "fork", "nobody", "two"), StringComparison.Ordinal);
        await host.SucceedAsync("xvol", "create", "-V", "1M", "tank/one-fork-two");
        Assert.Contains("tank/one-fork-two exists already", await RefusedAsync(host, "fork", "one", "two"), StringComparison.Ordinal);
        await host.SucceedAsync("xvol", "destroy", "tank/one-fork-two");

        string before = (await host.SucceedAsync("xvol", "list", "-H", "-o", "name", "-t", "all")).Output;
        await host.SucceedAsync("xm", "fork", "--temporary", "--paused", "one", "two");
        Assert.Matches(@"two .*--p---", (await host.SucceedAsync("xm", "list")).Output);
        Assert.Contains("tank/one-fork-two", (await host.SucceedAsync("xvol", "list")).Output, StringComparison.Ordinal);

        // A checkpoint of a domain that was copied, restored: its memory is found whichever way it is mapped.
        string saved = Path.Combine(host.Home, "one.save");
        Assert.Equal("kept=1", await AskAsync(one, "head -c 2000000 /dev/urandom >/data; md5sum /data >/sum; echo ke''pt=1", "kept="));
        await host.SucceedAsync("xm", "fork", "--temporary", "one", "three");
        await host.SucceedAsync("xm", "save", "one", saved);
        await one.WaitForExitAsync(Cancellation);
        foreach (string copy in (string[])["two", "three"])
        {
            await host.SucceedAsync("xm", "destroy", copy);
        }

        Assert.Equal(before, (await host.SucceedAsync("xvol", "list", "-H", "-o", "name", "-t", "all")).Output);
        using Process again = host.Start("xm", ["restore", "-c", saved]);
        Assert.Contains("OK", await AskAsync(again, "md5sum -c /sum", "/data:"), StringComparison.Ordinal);
        await again.StandardInput.WriteLineAsync("poweroff -f");
        await again.WaitForExitAsync(Cancellation);
        Assert.Equal(0, again.ExitCode);
    }

    /// <summary>Has a copy say what it is, and write to its disk.</summary>
    /// <returns>Random bytes of after the change of its generation.</returns>
    private static async Task<string> LookAtCopyAsync(Process copy, string mark)
    {
        Assert.Equal("secret=42", await AskAsync(copy, "echo sec''ret=$secret; jobs", "secret="));
        Assert.Equal("disk=before", await AskAsync(copy, $"echo di''sk=$(head -c 6 /dev/xvda); printf {mark} | dd of=/dev/xvda bs=512 conv=sync,fsync,notrunc 2>/dev/null", "disk="));
        string generation = await AskAsync(copy, "while [ \"$born\" = \"$(cat /run/generation)\" ]; do :; done; echo gen''eration=$(cat /run/generation)", "generation=");
        Assert.Matches(@"^generation=\d+:\d+$", generation);
        Assert.Equal($"disk={mark}", await AskAsync(copy, $"echo di''sk=$(head -c {mark.Length.ToString(CultureInfo.InvariantCulture)} /dev/xvda)", "disk="));
        return await AskAsync(copy, "echo ran''dom=$(head -c 16 /dev/urandom | hexdump -v -e '16/1 \"%02x\"')", "random=");
    }

    /// <summary>The Ethernet address of the interface that takes the old one's place, once Linux has taken it up.</summary>
    private static Task<string> NewAddressAsync(Process copy) => AskAsync(
        copy, $"until a=$(cat /sys/class/net/eth0/address 2>/dev/null) && [ \"$a\" != {Address} ] && ifconfig eth0 up; do :; done; echo addr''ess=$a", "address=");

    private static async Task<string> AskAsync(Process console, string command, string word)
    {
        await console.StandardInput.WriteLineAsync(command);
        return await GuestConsole.ReadUntilAsync(console, word);
    }

    private static async Task<string> RefusedAsync(Host host, params string[] arguments)
    {
        ToolResult result = await host.XmAsync(arguments);
        Assert.True(result.ExitCode == 1, result.ToString());
        return result.Error;
    }
}
