using Shinano.Control.Configuration.Networks;
using Shinano.Control.Daemon.Networks;
using Shinano.Network.Control;

namespace Shinano.Control.Tests;

/// <summary>What passt is told.</summary>
public sealed class PasstProgramTests
{
    private const string Elsewhere = "nameserver 192.0.2.53\n";

    [Fact]
    public void Forwards_listen_on_loopback_unless_an_address_is_named()
    {
        string all = Arguments([new(false, null, 2222, 22), new(true, "0.0.0.0", 53, 5353), new(false, "192.0.2.1", 80, 8080)]);
        Assert.Contains("--tcp-ports 127.0.0.1/2222:22 --udp-ports 53:5353 --tcp-ports 192.0.2.1/80:8080", all, StringComparison.Ordinal);
        Assert.Contains("--address 10.0.2.15 --netmask 255.255.255.0 --gateway 10.0.2.2", all, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_hosts_loopback_is_behind_the_gateway_only_when_that_is_asked_for(bool reaches) =>
        Assert.NotEqual(reaches, Arguments([], reachesLoopback: reaches).Contains("--no-map-gw", StringComparison.Ordinal));

    /// <summary>With both a server of its own and --dns-forward, passt gives answers a source that the guest did not ask.</summary>
    [Theory]
    [InlineData(Elsewhere, "")]
    [InlineData("", "")]
    [InlineData("# nothing\nsearch example.org\nnameserver\nnameserver nonsense\n", "")]
    [InlineData("nameserver ::1\n", "")]
    [InlineData("nameserver 127.0.0.53\noptions edns0\n", "--dns 127.0.0.53 --dns 10.0.2.3 --dns-forward 10.0.2.3")]
    [InlineData("search a\nnameserver\t127.0.0.1 \nnameserver ::1", "--dns 127.0.0.1 --dns 10.0.2.3 --dns-forward 10.0.2.3")]
    [InlineData("nameserver 127.0.0.1\n" + Elsewhere, "")]
    public void A_name_server_on_loopback_is_asked_for_the_guest_and_others_are_asked_by_it(string resolver, string expected) =>
        Assert.Equal(expected, string.Join(' ', NameServers.Arguments(resolver, reachesLoopback: false)));

    [Fact]
    public void A_guest_that_reaches_loopback_asks_there() => Assert.Empty(NameServers.Arguments("nameserver 127.0.0.53", reachesLoopback: true));

    private static string Arguments(IReadOnlyList<PortForward> forwards, bool reachesLoopback = false) => string.Join(
        ' ',
        PasstProgram.Arguments(
            new VnicRecord
            {
                Domain = 1,
                Device = "0",
                Address = "10.0.2.15",
                Forwards = forwards,
                ReachesLoopback = reachesLoopback,
                Spec = new VnicSpec { Name = "vnic1", Token = "", Mac = "00:16:3e:00:00:01", Bridge = "shinano0" },
            },
            "/run/vnic1.nat",
            Elsewhere));
}
