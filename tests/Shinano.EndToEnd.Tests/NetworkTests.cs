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
        Assert.Contains("10.0.2.15", await ReadUntilAsync(xm, "dhcp="), StringComparison.Ordinal);
        await xm.StandardInput.WriteLineAsync("ls -d /sys/class/net/eth0/queues/rx-* | wc -l | sed 's/^/queues=/'");
        Assert.Contains("queues=2", await ReadUntilAsync(xm, "queues="), StringComparison.Ordinal);

        // Debian 12's passt loses the host's FIN when the guest's came first: the host closes first here.
        await xm.StandardInput.WriteLineAsync($"(echo to-the-host; sleep 2) | nc 10.0.2.2 {port} | sed 's/^/heard=/'");
        Assert.Contains("heard=from-the-host", await ReadUntilAsync(xm, "heard="), StringComparison.Ordinal);
        Assert.Equal("to-the-host", await heard);
        await xm.StandardInput.WriteLineAsync("nc -l -p 7 -e cat & sleep 1; echo li''stening");
        await ReadUntilAsync(xm, "listening");
        using (TcpClient client = new())
        {
            await client.ConnectAsync(IPAddress.Loopback, forward, Cancellation);
            using StreamReader reader = new(client.GetStream());
            await client.GetStream().WriteAsync("through the forward\n"u8.ToArray(), Cancellation);
            Assert.Equal("through the forward", await reader.ReadLineAsync(Cancellation));
        }

        Assert.Equal("connected", (await SucceedAsync(host, "xenstore-read", "/local/domain/0/backend/vif/1/0/hotplug-status")).Output.Trim());
        Assert.Equal("vnic1", (await SucceedAsync(host, "xenstore-read", "/local/domain/0/backend/vif/1/0/nic")).Output.Trim());
        await xm.StandardInput.WriteLineAsync("poweroff -f");
        await xm.WaitForExitAsync(Cancellation);
        Assert.Equal(0, xm.ExitCode);
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

    /// <summary>Reads the console until a line has a word in it that the guest did not echo.</summary>
    private static async Task<string> ReadUntilAsync(Process xm, string word)
    {
        while (await xm.StandardOutput.ReadLineAsync(Cancellation) is { } line)
        {
            if (line.TrimStart().StartsWith(word, StringComparison.Ordinal))
            {
                return line;
            }
        }

        throw new EndOfStreamException($"the console ended before '{word}'");
    }

    private static async Task<ToolResult> SucceedAsync(Host host, string tool, params string[] arguments)
    {
        ToolResult result = await host.RunAsync(tool, arguments);
        Assert.True(result.ExitCode == 0, result.ToString());
        return result;
    }
}
