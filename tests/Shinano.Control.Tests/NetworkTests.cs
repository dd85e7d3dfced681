using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Networks;
using Shinano.XenStore.Server;

namespace Shinano.Control.Tests;

/// <summary>What xend does for network interfaces, with the double of the domain process, the real switch, and a passt that does not start.</summary>
public sealed class NetworkTests
{
    private const string Back = "/local/domain/0/backend/vif/1/0";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_vnic_is_made_with_its_nodes_is_limited_and_goes_with_its_domain()
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a", "vif = ['type=internal,bridge=lab,mac=00:16:3e:00:00:01,rate=8Mb/s,vlan=10,ip=10.1.2.3']");
        LocalStore store = home.Host.Services.GetRequiredService<LocalStore>();
        (string Node, string Value)[] expected =
        [
            ($"{Back}/mac", "00:16:3e:00:00:01"), ($"{Back}/bridge", "lab"), ($"{Back}/handle", "0"), ($"{Back}/type", "vif"), ($"{Back}/ip", "10.1.2.3"),
            ($"{Back}/rate", "50000,50000"), ($"{Back}/nic", "vnic1"), ($"{Back}/hotplug-status", "connected"), ("/local/domain/1/device/vif/0/mac", "00:16:3e:00:00:01"),
            ("/local/domain/1/device/vif/0/mtu", "1500"), ("/local/domain/1/device/vif/0/backend", Back),
        ];
        Assert.All(expected, e => Assert.Equal(e.Value, store.Nodes.TryReadString(e.Node)));
        Shinano.Network.Control.VnicStatus vnic = Assert.Single(await Networks(home).ListAsync(Cancellation));
        Assert.Equal(("vnic1", "lab", (ushort)10, 1_000_000L, "none"), (vnic.Name, vnic.Bridge, vnic.Vlan, vnic.BytesPerSecond!.Value, vnic.Uplink));

        // A limit is written down, so that it outlives the switch.
        await Networks(home).LimitAsync("vnic1", 2_000_000, Cancellation);
        Assert.Equal(2_000_000, Assert.Single(Records(home)).Spec.BytesPerSecond);
        await home.Client.DestroyAsync("a", Cancellation);
        Assert.Empty(Records(home));
        Assert.Empty(await Networks(home).ListAsync(Cancellation));
        await home.AssertNothingLeftAsync(store);
    }

    [Theory]
    [InlineData("type=bridge,bridge=nowhere0", "type=bridge: the host has no bridge 'nowhere0'")]
    [InlineData("type=user,ip=192.168.1.2", "ip=192.168.1.2: a user-mode network has addresses 10.0.2.4 to 10.0.2.254")]
    [InlineData("type=user,mac=00:16:3e:00:00:01", "user-mode network of vnic1: passt does not start: no passt today")]
    public async Task What_cannot_be_had_is_named_and_leaves_nothing_behind(string vif, string message)
    {
        await using TestHome home = await TestHome.StartAsync();
        XendFailureException e = await Assert.ThrowsAsync<XendFailureException>(() => home.CreateAsync("a", $"vif = ['{vif}']"));
        Assert.StartsWith(message, e.Message, StringComparison.Ordinal);
        Assert.Empty(Records(home));
        await home.AssertNothingLeftAsync(home.Host.Services.GetRequiredService<LocalStore>());
    }

    [Theory]
    [InlineData("tcp", SocketType.Stream)]
    [InlineData("udp", SocketType.Dgram)]
    public async Task A_port_of_the_host_that_is_taken_is_named(string protocol, SocketType type)
    {
        await using TestHome home = await TestHome.StartAsync();
        using Socket other = new(AddressFamily.InterNetwork, type, ProtocolType.Unspecified);

        // As passt has its own.
        other.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        other.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        if (type == SocketType.Stream)
        {
            other.Listen();
        }

        int port = ((IPEndPoint)other.LocalEndPoint!).Port;
        XendFailureException e = await Assert.ThrowsAsync<XendFailureException>(() => home.CreateAsync("a", $"vif = ['type=user,forward={protocol}:{port}:22']"));
        Assert.Equal(DomainFailureCode.HostResource, e.Failure.Code);
        Assert.StartsWith($"forward={protocol}:{port}:22: port {port} of the host: ", e.Message, StringComparison.Ordinal);
        await home.AssertNothingLeftAsync();
    }

    private static DomainNetworks Networks(TestHome home) => home.Host.Services.GetRequiredService<DomainNetworks>();

    private static IReadOnlyList<VnicRecord> Records(TestHome home) => home.Host.Services.GetRequiredService<VnicRecords>().ReadAll();
}
