using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Shinano.EndToEnd.Tests;

/// <summary>Debian's kernel and its xen-netfront against our back end, the switch and passt.</summary>
public sealed class NetworkTests(NetworkGuestFiles files) : IClassFixture<NetworkGuestFiles>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_guest_gets_an_address_reaches_the_host_and_is_reached()
    {
        await using Host host = Host.Create();
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        int port = ((IPEndPoint)listener.LocalEndpoint).Port;
        int forward = FreePort();
        Task<string> heard = ServeOnceAsync(listener);
        string path = host.Configuration("net", $"{files.Boot}\nvcpus = 2\nvif = [ 'type=user,loopback=yes,forward=tcp:{forward}:7' ]");
        using Process xm = host.Start("xm", ["create", "-c", path]);
        await xm.StandardInput.WriteLineAsync("ifconfig eth0 up; udhcpc -i eth0 -n -q -t 20 -T 1");
        Assert.Contains("10.0.2.15", await GuestConsole.ReadUntilAsync(xm, "dhcp="), StringComparison.Ordinal);
        await xm.StandardInput.WriteLineAsync("ls -d /sys/class/net/eth0/queues/rx-* | wc -l | sed 's/^/queues=/'");
        Assert.Contains("queues=2", await GuestConsole.ReadUntilAsync(xm, "queues="), StringComparison.Ordinal);

        // Debian 12's passt loses the host's FIN when the guest's came first: the host closes first here.
        await xm.StandardInput.WriteLineAsync($"(echo to-the-host; sleep 2) | nc 10.0.2.2 {port} | sed 's/^/heard=/'");
        Assert.Contains("heard=from-the-host", await GuestConsole.ReadUntilAsync(xm, "heard="), StringComparison.Ordinal);
        Assert.Equal("to-the-host", await heard);
        await xm.StandardInput.WriteLineAsync("nc -l -p 7 -e cat & sleep 1; echo li''stening");
        await GuestConsole.ReadUntilAsync(xm, "listening");
        using (TcpClient client = new())
        {
            await client.ConnectAsync(IPAddress.Loopback, forward, Cancellation);
            using StreamReader reader = new(client.GetStream());
            await client.GetStream().WriteAsync("through the forward\n"u8.ToArray(), Cancellation);
            Assert.Equal("through the forward", await reader.ReadLineAsync(Cancellation));
        }

        Assert.Equal("connected", (await host.SucceedAsync("xenstore-read", "/local/domain/0/backend/vif/1/0/hotplug-status")).Output.Trim());
        Assert.Equal("vnic1", (await host.SucceedAsync("xenstore-read", "/local/domain/0/backend/vif/1/0/nic")).Output.Trim());
        await xm.StandardInput.WriteLineAsync("poweroff -f");
        await xm.WaitForExitAsync(Cancellation);
        Assert.Equal(0, xm.ExitCode);
    }

    [Fact]
    public async Task The_quickstart_has_a_network_when_it_is_asked_for()
    {
        Host.SkipUnlessAll();
        _ = files.Boot;
        await using Host host = Host.Create();
        ToolResult result = await host.RunAsync(
            "xm", ["quickstart", "--network"], "until ifconfig eth0 | grep -q 'inet addr'; do sleep 1; done; ifconfig eth0 | sed -n 's/.*inet addr/address/p'; poweroff -f\n");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("address:10.0.2.15", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_domains_reach_each_other_while_xend_and_the_switch_are_killed()
    {
        await using Host host = Host.Create();
        string Configuration(string name, string mac) => host.Configuration(name, $"{files.Boot}\nvif = [ 'mac={mac},bridge=xenbr0,rate=20Mb/s' ]");
        await host.SucceedAsync("xm", "create", Configuration("one", "00:16:3e:00:00:01"));
        using Process one = host.Start("xm", ["console", "one"]);
        using Process two = host.Start("xm", ["create", "-c", Configuration("two", "00:16:3e:00:00:02")]);
        await one.StandardInput.WriteLineAsync("ifconfig eth0 up; udhcpc -i eth0 -n -q -t 20 -T 1");
        Assert.Contains("10.0.2.15", await GuestConsole.ReadUntilAsync(one, "dhcp="), StringComparison.Ordinal);
        await two.StandardInput.WriteLineAsync("ifconfig eth0 up; udhcpc -i eth0 -n -q -t 20 -T 1");
        Assert.Contains("10.0.2.16", await GuestConsole.ReadUntilAsync(two, "dhcp="), StringComparison.Ordinal);
        await PingAsync(two, "10.0.2.15");
        Assert.Contains("20Mb/s", (await host.SucceedAsync("xvnic", "list")).Output, StringComparison.Ordinal);

        string capture = Path.Combine(host.Home, "ping.pcap");
        await host.SucceedAsync("xvnic", "capture", "start", "vnic1", capture);
        await PingAsync(two, "10.0.2.15");
        Assert.DoesNotContain(": 0 frames", (await host.SucceedAsync("xvnic", "capture", "stop", "vnic1")).Output, StringComparison.Ordinal);
        Assert.Equal(0xa1b23c4d, BitConverter.ToUInt32(await File.ReadAllBytesAsync(capture, Cancellation)));

        await KillAsync(host, "Shinano.Control.Daemon.dll");
        await PingAsync(two, "10.0.2.15");
        Assert.Contains("up", (await host.SucceedAsync("xvnic", "show", "vnic2")).Output, StringComparison.Ordinal);
        await KillAsync(host, "Shinano.Network.Switch.dll");

        // xend starts another and makes the vnics again; the domains connect by themselves.
        await two.StandardInput.WriteLineAsync("until ping -c 1 -W 1 10.0.2.15 >/dev/null; do :; done; echo ag''ain=yes");
        await GuestConsole.ReadUntilAsync(two, "again=yes");

        await host.SucceedAsync("xm", "network-detach", "two", "0");
        Assert.DoesNotContain("vnic2", (await host.SucceedAsync("xvnic", "list")).Output, StringComparison.Ordinal);
        await host.SucceedAsync("xm", "network-attach", "two", "mac=00:16:3e:00:00:03", "bridge=xenbr0");
        await two.StandardInput.WriteLineAsync("until ifconfig eth0 up 2>/dev/null; do :; done; udhcpc -i eth0 -n -q -t 20 -T 1");
        Assert.Contains("10.0.2.16", await GuestConsole.ReadUntilAsync(two, "dhcp="), StringComparison.Ordinal);
        await PingAsync(two, "10.0.2.15");
        Assert.Matches(@"0 +0 +00:16:3e:00:00:03 +0 +4 ", (await host.SucceedAsync("xm", "network-list", "two")).Output);
        await host.SucceedAsync("xm", "destroy", "one");
        await host.SucceedAsync("xm", "destroy", "two");
        Assert.DoesNotContain("vnic", (await host.SucceedAsync("xvnic", "list")).Output, StringComparison.Ordinal);
        Assert.DoesNotContain("mac", (await host.SucceedAsync("xenstore-ls", "/local/domain/0")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bridge_of_the_hosts_is_reached_through_a_tap_and_two_domains_on_it_reach_each_other()
    {
        Assert.SkipUnless(Environment.UserName == "root" && File.Exists("/dev/net/tun"), "needs root and /dev/net/tun");
        string name = $"shi{Environment.ProcessId}";
        Assert.SkipUnless(await IpAsync("netns", "add", name), "network namespaces cannot be made here");
        try
        {
            Assert.True(await IpAsync("-n", name, "link", "add", "br0", "type", "bridge"));
            Assert.True(await IpAsync("-n", name, "addr", "add", "10.9.0.1/24", "dev", "br0"));
            Assert.True(await IpAsync("-n", name, "link", "set", "br0", "up"));
            await using Host host = Host.Create(name);
            string Configuration(string domain) => host.Configuration(domain, $"{files.Boot}\nvif = [ 'bridge=br0' ]");
            using Process one = host.Start("xm", ["create", "-c", Configuration("one")]);
            await one.StandardInput.WriteLineAsync("ifconfig eth0 10.9.0.2 up");
            await PingAsync(one, "10.9.0.1");
            Assert.Contains("tap", (await host.SucceedAsync("xvnic", "list")).Output, StringComparison.Ordinal);
            using Process two = host.Start("xm", ["create", "-c", Configuration("two")]);
            await two.StandardInput.WriteLineAsync("ifconfig eth0 10.9.0.3 up");
            await PingAsync(two, "10.9.0.2");
            await host.SucceedAsync("xm", "destroy", "one");
            await host.SucceedAsync("xm", "destroy", "two");
        }
        finally
        {
            await IpAsync("netns", "del", name);
        }
    }

    private static async Task<bool> IpAsync(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true })!;
        await process.WaitForExitAsync(Cancellation);
        return process.ExitCode == 0;
    }

    private static async Task PingAsync(Process xm, string address)
    {
        await xm.StandardInput.WriteLineAsync($"ping -c 3 -W 5 {address} | grep -o '[0-9] packets received' | sed 's/^/ping=/'");
        Assert.Contains("ping=3", await GuestConsole.ReadUntilAsync(xm, "ping="), StringComparison.Ordinal);
    }

    private static async Task KillAsync(Host host, string program)
    {
        using Process process = Process.GetProcessById(host.Processes().Single(id =>
            DomainProcesses.Words(id).Contains(program, StringComparison.Ordinal)));
        process.Kill();
        await process.WaitForExitAsync(Cancellation);
    }

    private static int FreePort()
    {
        using TcpListener probe = new(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    private static async Task<string> ServeOnceAsync(TcpListener listener)
    {
        using TcpClient client = await listener.AcceptTcpClientAsync(Cancellation);
        using StreamReader reader = new(client.GetStream(), Encoding.ASCII, leaveOpen: true);
        string line = await reader.ReadLineAsync(Cancellation) ?? "";
        await client.GetStream().WriteAsync("from-the-host\n"u8.ToArray(), Cancellation);
        return line;
    }
}
