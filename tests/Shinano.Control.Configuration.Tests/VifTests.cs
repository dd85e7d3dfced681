using CsCheck;
using Shinano.Control.Configuration.Networks;

namespace Shinano.Control.Configuration.Tests;

/// <summary>Strings of <c>vif</c>.</summary>
public sealed class VifTests
{
    [Fact]
    public void All_keys_are_read()
    {
        VifConfiguration vif = Good("mac=0:16:3E:a:b:C, bridge=xenbr0,rate=10Mb/s@20ms,script=vif-bridge,vlan=7,trunk=10:20-22,ip=10.0.2.20 fe80::1,promiscuous=yes");
        Assert.Equal(("00:16:3e:0a:0b:0c", "xenbr0", 1_250_000L, "vif-bridge", 7, true), (vif.Mac, vif.Bridge, vif.BytesPerSecond, vif.Script, vif.Vlan, vif.IsPromiscuous));
        Assert.Equal([10, 20, 21, 22], vif.Trunk);
        Assert.Equal(["10.0.2.20", "fe80::1"], vif.Addresses);
        VifConfiguration user = Good("type=user,forward=tcp:2222:22,forward=udp:0.0.0.0:53:5353,loopback=yes");
        Assert.Equal([new PortForward(false, null, 2222, 22), new PortForward(true, "0.0.0.0", 53, 5353)], user.Forwards);
        Assert.Equal((NetworkKind.User, true), (user.Kind, user.ReachesLoopback));
    }

    [Theory]
    [InlineData("", null)]
    [InlineData("type=vif", null)]
    [InlineData("forward=tcp:1:2", NetworkKind.User)]
    [InlineData("type=internal", NetworkKind.Internal)]
    [InlineData("type=bridge,bridge=br0", NetworkKind.Bridge)]
    public void The_kind_is_what_is_said_or_needed(string text, NetworkKind? kind) => Assert.Equal(kind, Good(text).Kind);

    [Fact]
    public void A_port_of_the_host_may_lead_to_different_ports_on_different_addresses_and_protocols() =>
        Assert.Equal(3, Good("forward=tcp:2222:22,forward=udp:2222:22,forward=tcp:10.1.2.3:2222:80").Forwards.Count);

    [Fact]
    public void A_trunk_has_no_native_vlan_unless_one_is_named() => Assert.Equal(0, Good("trunk=5").Vlan);

    [Theory]
    [InlineData("mac=00:16:3e:00:00", 4)]
    [InlineData("mac=01:16:3e:00:00:00", 4)]
    [InlineData("bridge=a/b", 7)]
    [InlineData("bridge=x,rate=10", 14)]
    [InlineData("vlan=4095", 5)]
    [InlineData("trunk=5-3", 6)]
    [InlineData("ip=10.0.2", 3)]
    [InlineData("ip=host", 3)]
    [InlineData("type=user,forward=tcp:70000:22", 18)]
    [InlineData("forward=icmp:1:2", 8)]
    [InlineData("type=internal,forward=tcp:1:2", 22)]
    [InlineData("forward=2222:22", 8)]
    [InlineData("forward=tcp:2222", 8)]
    [InlineData("forward=tcp::22", 8)]
    [InlineData("forward=tcp:2222:0", 8)]
    [InlineData("forward=tcp:-1:22", 8)]
    [InlineData("forward=tcp:localhost:2222:22", 8)]
    [InlineData("forward=tcp:[::1]:2222:22", 8)]
    [InlineData("forward=tcp:1:2:3:4:5", 8)]
    [InlineData("forward=tcp:1:2:3", 8)]
    [InlineData("forward=", 8)]
    [InlineData("forward=tcp:2222:22,forward=tcp:2222:80", 28)]
    [InlineData("forward=tcp:2222:22,forward=tcp:0.0.0.0:2222:80", 28)]
    [InlineData("brigde=x", 0)]
    [InlineData("bridge=x, nonsense", 10)]
    [InlineData("loopback=maybe", 9)]
    public void What_is_wrong_is_named_with_its_place(string text, int at)
    {
        (VifConfiguration? vif, string? problem, int place, _) = VifString.Read(text, 0);
        Assert.Null(vif);
        Assert.NotNull(problem);
        Assert.Equal(at, place);
    }

    [Fact]
    public void Errors_name_line_and_column_of_the_file()
    {
        ConfigurationResult result = ConfigurationReader.Read(
            new ConfigurationText("a.cfg", "name = \"a\"\nkernel = \"/k\"\nvif = [ 'bridge=x',\n        'bridge=x,vlan=9999' ]\n", []), strict: false);
        Assert.Contains(result.Diagnostics, diagnostic => diagnostic.ToString().Contains("a.cfg:4:24", StringComparison.Ordinal));
    }

    [Fact]
    public void Two_interfaces_share_neither_number_nor_address()
    {
        ConfigurationResult result = ConfigurationReader.Read(
            new ConfigurationText("a.cfg", "name=\"a\"\nkernel=\"/k\"\nvif=['mac=00:16:3e:1:1:1','mac=00:16:3E:01:01:01','devid=0']", []), strict: false);
        Assert.Equal(2, result.Diagnostics.Count(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error));
    }

    [Fact]
    public void Two_interfaces_share_no_port_of_the_host()
    {
        ConfigurationResult result = ConfigurationReader.Read(
            new ConfigurationText("a.cfg", "name=\"a\"\nkernel=\"/k\"\nvif=['forward=tcp:2222:22','forward=tcp:2222:22']", []), strict: false);
        Assert.Contains(result.Diagnostics, one => one.ToString() == "a.cfg:3:28: error: forward=tcp:2222:22: port 2222 of the host is taken by another interface");
    }

    [Theory]
    [InlineData("8b/s", 1L)]
    [InlineData("1.5MB/s", 1_500_000L)]
    [InlineData("1Gb/s", 125_000_000L)]
    [InlineData("0Mb/s", null)]
    [InlineData("-1Mb/s", null)]
    [InlineData("10Mb/s@", null)]
    [InlineData("1e3Mb/s", null)]
    [InlineData("99999999GB/s", null)]
    public void Rates(string text, long? bytes) => Assert.Equal(bytes, RateText.TryParse(text));

    [Fact]
    public void No_text_throws() => Gen.OneOf(Gen.String, Gen.String[Gen.Char[",=:-abcdefvlantrukip0123456789/@. "], 0, 60]).Sample(text =>
    {
        (VifConfiguration? vif, string? problem, int at, _) = VifString.Read(text, 0);
        return vif is null != problem is null && at >= 0 && at <= text.Length + 1;
    });

    private static VifConfiguration Good(string text)
    {
        (VifConfiguration? vif, string? problem, _, _) = VifString.Read(text, 0);
        Assert.Null(problem);
        return vif!;
    }
}
