using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Shinano.Control.Api.Domains;
using Shinano.Guests;
using StreamJsonRpc;

namespace Shinano.EndToEnd.Tests;

/// <summary>Debian's kernel put aside in a file and taken up again, as a person does it.</summary>
public sealed class SaveTests(SaveGuestFiles files) : IClassFixture<SaveGuestFiles>
{
    private const string Listens = "until netstat -ltn | grep -q ':7 '; do :; done; ";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(GuestEngine.Usual), MemberType = typeof(GuestEngine))]
    public async Task A_guest_with_two_vcpus_goes_on_where_it_was_saved(string engine)
    {
        await using Host host = Host.Create();
        string saved = Path.Combine(host.Home, "aside.save");
        string path = host.Configuration("aside", $"memory = 192\nvcpus = 2\ncpu_engine = \"{engine}\"\n{files.Boot}");
        using (Process xm = host.Start("xm", ["create", "-c", path]))
        {
            await xm.StandardInput.WriteLineAsync(
                "dmesg -c >/dev/null; secret=$((6*7)); head -c 3000000 /dev/urandom >/data; md5sum /data >/sum; (while :; do :; done) & read up rest </proc/uptime; echo lo''oping=$up");
            await GuestConsole.ReadUntilAsync(xm, "looping=");
            await host.SucceedAsync("xm", "save", "aside", saved);
            await xm.WaitForExitAsync(Cancellation);
            Assert.Equal(21, xm.ExitCode);
        }

        Assert.DoesNotContain("aside", (await host.SucceedAsync("xm", "list")).Output, StringComparison.Ordinal);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(saved));
        for (int round = 0; round < 2; round++)
        {
            using Process xm = host.Start("xm", ["restore", "-c", saved]);
            Assert.Contains("looping=", await GuestConsole.ReadUntilAsync(xm, "looping="), StringComparison.Ordinal);
            await xm.StandardInput.WriteLineAsync("md5sum -c /sum; echo sec''ret=$secret; jobs; kill %1; " + KernelTrouble.Count);
            Assert.Contains("OK", await GuestConsole.ReadUntilAsync(xm, "/data:"), StringComparison.Ordinal);
            Assert.Equal("secret=42", await GuestConsole.ReadUntilAsync(xm, "secret="));
            Assert.Contains("Running", await GuestConsole.ReadUntilAsync(xm, "[1]+"), StringComparison.Ordinal);
            Assert.Equal("trouble=0", await GuestConsole.ReadUntilAsync(xm, "trouble="));
            await xm.StandardInput.WriteLineAsync(
                "read now rest </proc/uptime; awk \"BEGIN { print (($now >= $up && $now < $up + 60) ? \\\"ti\\\" \\\"me=good\\\" : \\\"ti\\\" \\\"me=$up,$now\\\") }\"; poweroff -f");
            Assert.Equal("time=good", await GuestConsole.ReadUntilAsync(xm, "time="));
            await xm.WaitForExitAsync(Cancellation);
            Assert.Equal(0, xm.ExitCode);
        }
    }

    [Fact]
    public async Task Disks_and_networks_go_on_with_a_restored_guest()
    {
        await using Host host = Host.Create();
        string image = Path.Combine(host.Home, "disk.img");
        await File.WriteAllBytesAsync(image, new byte[32 << 20], Cancellation);
        using (Process make = Process.Start(new ProcessStartInfo("/usr/sbin/mkfs.ext4", ["-q", image]))!)
        {
            await make.WaitForExitAsync(Cancellation);
        }

        int forward = FreePort();
        string saved = Path.Combine(host.Home, "net.save");
        string path = host.Configuration(
            "net", $"memory = 192\nvcpus = 2\n{files.Boot}\ndisk = [ 'file:{image},xvda,w' ]\nvif = [ 'type=user,loopback=yes,forward=tcp:{forward}:7' ]");
        using (Process xm = host.Start("xm", ["create", "-c", path]))
        {
            await xm.StandardInput.WriteLineAsync("mkdir -p /mnt; mount -t ext4 /dev/xvda /mnt; ifconfig eth0 up; udhcpc -i eth0 -n -q -t 20 -T 1");
            await GuestConsole.ReadUntilAsync(xm, "dhcp=");

            // Disk and network are busy while the domain is saved.
            await xm.StandardInput.WriteLineAsync(
                "dmesg -c >/dev/null; (i=0; until [ -e /stop ]; do i=$((i+1)); dd if=/dev/urandom of=/mnt/$((i % 8)) bs=64k count=16 conv=fsync 2>/dev/null; echo $i >/mnt/count; done) & "
                + "(while :; do nc -l -p 7 -e cat; done) & " + Listens + "echo bu''sy=1");
            await GuestConsole.ReadUntilAsync(xm, "busy=");
            await EchoAsync(forward, "before");
            await host.SucceedAsync("xm", "save", "net", saved);
            await xm.WaitForExitAsync(Cancellation);
        }

        using (Process xm = host.Start("xm", ["restore", "-c", saved]))
        {
            await GuestConsole.ReadUntilAsync(xm, "busy=");

            // The guest has sent nothing yet: it was announced to the new passt.
            await xm.StandardInput.WriteLineAsync(Listens + "echo list''ens=1");
            await GuestConsole.ReadUntilAsync(xm, "listens=");
            await EchoAsync(forward, "after");
            await xm.StandardInput.WriteLineAsync("before=$(cat /mnt/count); while [ $(cat /mnt/count) -lt $((before + 3)) ]; do :; done; echo dis''k=goes-on");
            Assert.Equal("disk=goes-on", await GuestConsole.ReadUntilAsync(xm, "disk="));
            await xm.StandardInput.WriteLineAsync("touch /stop; wait %1; sync; umount /mnt && echo umou''nted=1; " + KernelTrouble.Count);
            await GuestConsole.ReadUntilAsync(xm, "umounted=1");
            Assert.Equal("trouble=0", await GuestConsole.ReadUntilAsync(xm, "trouble="));
            Assert.Contains("51712", (await host.SucceedAsync("xm", "block-list", "net")).Output, StringComparison.Ordinal);

            // What the guest knows by the number that the domain had before: the back end's state, which it watches.
            await host.SucceedAsync("xm", "block-detach", "net", "xvda");
            await xm.StandardInput.WriteLineAsync("poweroff -f");
            await xm.WaitForExitAsync(Cancellation);
            Assert.Equal(0, xm.ExitCode);
        }

        await Ext4.AssertCleanAsync(image);
    }

    [Fact]
    public async Task A_checkpoint_leaves_the_guest_running_and_a_failed_save_leaves_it_as_it_was()
    {
        await using Host host = Host.Create();
        string image = Path.Combine(host.Home, "disk.img");
        await File.WriteAllBytesAsync(image, new byte[1 << 20], Cancellation);
        string saved = Path.Combine(host.Home, "cp.save");
        string path = host.Configuration("cp", $"memory = 192\nvcpus = 2\n{files.Boot}\ndisk = [ 'file:{image},xvda,w' ]");
        using Process xm = host.Start("xm", ["create", "-c", path]);
        await xm.StandardInput.WriteLineAsync("dmesg -c >/dev/null; (while :; do dd if=/dev/zero of=/dev/xvda bs=64k count=16 conv=fsync 2>/dev/null; done) & echo bu''sy=1");
        await GuestConsole.ReadUntilAsync(xm, "busy=");
        Assert.Contains("cannot be written", await RefusedAsync(host, "save", "cp", "/proc/nowhere/file"), StringComparison.Ordinal);
        Assert.Contains("no saved domain", await RefusedAsync(host, "save", "cp", image), StringComparison.Ordinal);

        // A file system that takes no more: here a limit of the process, which is less than the domain needs.
        await LimitFilesAsync(DomainProcesses.OfDomain(host), "4194304");
        Assert.Contains("cannot be written", await RefusedAsync(host, "save", "cp", saved), StringComparison.Ordinal);
        await LimitFilesAsync(DomainProcesses.OfDomain(host), "unlimited");
        Assert.DoesNotContain(Directory.EnumerateFiles(host.Home), file => file.Contains("partial", StringComparison.Ordinal) || file == saved);
        await host.SucceedAsync("xm", "save", "-c", "cp", saved);
        await host.SucceedAsync("xm", "save", "-c", "cp", saved);
        await xm.StandardInput.WriteLineAsync("kill %1; wait %1; echo al''ive=1; " + KernelTrouble.Count);
        await GuestConsole.ReadUntilAsync(xm, "alive=1");
        Assert.Equal("trouble=0", await GuestConsole.ReadUntilAsync(xm, "trouble="));
        Assert.Contains("exists already", await RefusedAsync(host, "restore", saved), StringComparison.Ordinal);
        await host.SucceedAsync("xm", "save", "-p", "cp", saved);
        Assert.Matches(@"cp .*--p---", (await host.SucceedAsync("xm", "list")).Output);
        await host.SucceedAsync("xm", "destroy", "cp");
        await host.SucceedAsync("xm", "restore", "-p", saved);
        Assert.Matches(@"cp .*--p---", (await host.SucceedAsync("xm", "list")).Output);
        await host.SucceedAsync("xm", "unpause", "cp");
        await host.SucceedAsync("xm", "destroy", "cp");
        await BrokenFilesAsync(host, saved);
        Assert.DoesNotContain("cp", (await host.SucceedAsync("xm", "list")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_domain_that_was_suspended_by_a_xend_that_is_gone_goes_on_and_there_is_no_file()
    {
        await using Host host = Host.Create();
        string saved = Path.Combine(host.Home, "k.save");
        string path = host.Configuration("k", $"memory = 192\nvcpus = 2\n{files.Boot}");
        using Process xm = host.Start("xm", ["create", "-c", path]);
        using Conversation console = new(xm);
        await console.TypeAsync("dmesg -c >/dev/null; (while :; do :; done) & echo bu''sy=1\n");
        await console.UntilAsync("busy=1");

        // In xend's place, as far as it comes. It lives until the guest's requests at xenstore are answered.
        using (Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(host.Home, "run", "domains", "1", "control")), Cancellation);
            (JsonRpc rpc, IDomainProcess domain) = DomainControlChannel.Connect(new NetworkStream(socket), new NoEvents());
            using (rpc)
            {
                await domain.SuspendAsync(Cancellation);
                Assert.True((await domain.GetStatusAsync(Cancellation)).State.HasFlag(DomainStates.Paused));
                await host.KillDaemonAsync();
                await domain.WriteStateAsync(saved, [], Cancellation);
                Assert.True(File.Exists(saved));
            }
        }

        await console.TypeAsync("echo al''ive=1; " + KernelTrouble.Count + "\n");
        await console.UntilAsync("alive=1");
        await console.UntilAsync("trouble=0");
        Assert.False(File.Exists(saved));
        await host.SucceedAsync("xm", "save", "k", saved);
        Assert.Equal(21, await console.EndAsync());
    }

    private static async Task LimitFilesAsync(int process, string bytes)
    {
        using Process limit = Process.Start("prlimit", ["--pid", $"{process}", $"--fsize={bytes}:unlimited"]);
        await limit.WaitForExitAsync(Cancellation);
        Assert.Equal(0, limit.ExitCode);
    }

    private static async Task BrokenFilesAsync(Host host, string saved)
    {
        byte[] whole = await File.ReadAllBytesAsync(saved, Cancellation);
        string broken = Path.Combine(host.Home, "broken.save");
        foreach ((byte[] content, string message) in ((byte[], string)[])
        [
            ([], "not a saved domain"),
            ([.. "SHINANO?"u8, .. whole.AsSpan(8)], "not a saved domain"),
            ([.. whole.AsSpan(0, 8), 9, .. whole.AsSpan(9)], "version 9"),
            (whole[..(whole.Length / 2)], "ends in section"),
            (whole[..^1], "ends in section"),
            ([.. whole.AsSpan(0, whole.Length / 2), (byte)~whole[whole.Length / 2], .. whole.AsSpan((whole.Length / 2) + 1)], "checksum"),
            ([.. whole, 0], "behind the end marker"),
        ])
        {
            await File.WriteAllBytesAsync(broken, content, Cancellation);
            Assert.Contains(message, await RefusedAsync(host, "restore", broken), StringComparison.Ordinal);
        }
    }

    private static async Task<string> RefusedAsync(Host host, params string[] arguments)
    {
        ToolResult result = await host.XmAsync(arguments);
        Assert.True(result.ExitCode == 1, result.ToString());
        return result.Error;
    }

    private static int FreePort()
    {
        using TcpListener probe = new(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    /// <summary>Says a line to the guest's echo and hears it again.</summary>
    private static async Task EchoAsync(int port, string line)
    {
        using TcpClient client = new();
        await client.ConnectAsync(IPAddress.Loopback, port, Cancellation);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(line + "\n"), Cancellation);
        using StreamReader reader = new(client.GetStream(), Encoding.ASCII);
        Assert.Equal(line, await reader.ReadLineAsync(Cancellation));
    }

    private sealed class NoEvents : IDomainEvents
    {
        public void Progress(BuildProgress progress)
        {
        }

        public void Started()
        {
        }

        public void DeviceEnded(string kind, string id)
        {
        }

        public void ShutDown(ShutdownReason reason)
        {
        }
    }
}
