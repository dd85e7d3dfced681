using System.Net;
using Shinano.Network.Frames;
using Shinano.Network.Switching;
using static Shinano.Network.Tests.TestFrames;

namespace Shinano.Network.Tests;

/// <summary>Where frames go.</summary>
public sealed class BridgeTests
{
    private readonly ManualClock _clock = new();
    private readonly Bridge _bridge;

    public BridgeTests() => _bridge = new Bridge("test", _clock);

    [Fact]
    public void A_known_address_gets_its_frames_alone_and_a_broadcast_goes_to_all_but_the_sender()
    {
        (FakePort a, FakePort b, FakePort c) = (Attach(A), Attach(B), Attach(C));
        Send(a, Plain(A, B));
        Assert.Single(b.Take());
        Assert.Empty(c.Take());
        Send(a, Plain(A, MacAddress.Broadcast));
        Assert.Equal((0, 1, 1), (a.Take().Length, b.Take().Length, c.Take().Length));
    }

    [Fact]
    public void An_unknown_address_is_looked_for_at_promiscuous_ports_learned_and_forgotten_after_its_age()
    {
        FakePort a = Attach(A);
        FakePort b = Attach(B);
        FakePort uplink = new() { IsPromiscuous = true };
        FakePort other = new() { IsPromiscuous = true };
        Assert.True(_bridge.TryAttach(uplink, null) && _bridge.TryAttach(other, null));
        Send(a, Plain(A, C));
        Assert.Equal((0, 1, 1), (b.Take().Length, uplink.Take().Length, other.Take().Length));
        Send(uplink, Plain(C, A));
        Send(a, Plain(A, C));
        Assert.Equal((1, 0), (uplink.Take().Length, other.Take().Length));
        _clock.Advance(AddressTable.MaximumAge);
        Send(a, Plain(A, C));
        Assert.Equal((1, 1), (uplink.Take().Length, other.Take().Length));
    }

    [Fact]
    public void An_address_that_belongs_to_a_port_cannot_be_taken_by_another()
    {
        FakePort a = Attach(A);
        FakePort b = Attach(B);
        FakePort thief = new();
        Assert.False(_bridge.TryAttach(thief, A));
        Assert.True(_bridge.TryAttach(thief, null));
        Send(thief, Plain(A, B));
        b.Take();
        Send(b, Plain(B, A));
        Assert.Single(a.Take());
        Assert.Empty(thief.Take());
    }

    [Fact]
    public void The_table_is_bounded_per_port()
    {
        FakePort flood = new() { IsPromiscuous = true };
        Assert.True(_bridge.TryAttach(flood, null));
        for (ulong i = 0; i < 10_000; i++)
        {
            Send(flood, Plain(new MacAddress(0x020000000000 + i), B));
        }

        Assert.Equal(AddressTable.CapacityOfPort, _bridge.Addresses.Count);
        _bridge.Detach(flood);
        Assert.Equal(0, _bridge.Addresses.Count);
    }

    [Fact]
    public void Vlans_are_kept_apart_and_tags_come_and_go()
    {
        FakePort ten = Attach(A, new PortVlan(10));
        FakePort alsoTen = Attach(B, new PortVlan(10));
        FakePort twenty = Attach(C, new PortVlan(20));
        FakePort trunk = new(new PortVlan(0, 10, 20)) { IsPromiscuous = true };
        Assert.True(_bridge.TryAttach(trunk, null));
        Send(ten, Plain(A, MacAddress.Broadcast));
        Assert.Equal(Plain(A, MacAddress.Broadcast), Assert.Single(alsoTen.Take()));
        Assert.Equal(Plain(A, MacAddress.Broadcast, 10), Assert.Single(trunk.Take()));
        Assert.Empty(twenty.Take());
        Send(trunk, Plain(new MacAddress(0x020000000009), C, 0x6000 | 20));
        Assert.Equal(Plain(new MacAddress(0x020000000009), C), Assert.Single(twenty.Take()));

        // Another's VLAN, and none where there is no native one.
        Send(trunk, Plain(new MacAddress(0x020000000009), C, 30));
        Send(trunk, Plain(new MacAddress(0x020000000009), C));
        Send(ten, Plain(A, C, 20));
        Assert.Equal((0, 2, 1), (twenty.Take().Length, trunk.Counters.Read().Refused, ten.Counters.Read().Refused));
    }

    [Fact]
    public void A_guarded_port_sends_as_itself_only()
    {
        FakePort a = Attach(A, guard: new SourceGuard(A, [IPAddress.Parse("10.0.0.1"), IPAddress.Parse("2001:db8::1")]));
        FakePort b = Attach(B);
        void Passes(bool expected, byte[] frame)
        {
            Send(a, frame);
            Assert.Equal(expected ? 1 : 0, b.Take().Length);
        }

        byte[] UdpFrom(string address, MacAddress source, ushort from = 1, ushort to = 2) => Udp(source, B, address, "10.0.0.2", from, to, [1, 2, 3]);
        Passes(true, UdpFrom("10.0.0.1", A));
        Passes(false, UdpFrom("10.0.0.1", C));
        Passes(false, UdpFrom("10.0.0.3", A));
        Passes(false, UdpFrom("0.0.0.0", A));
        Passes(true, UdpFrom("0.0.0.0", A, 68, 67));
        Passes(true, Arp(A, "10.0.0.1", "10.0.0.2"));
        Passes(true, Arp(A, "0.0.0.0", "10.0.0.1"));
        Passes(false, Arp(A, "10.0.0.2", "10.0.0.2"));
        Passes(false, Plain(A, B));
        Passes(true, Announcement.Of(A));
        Passes(false, Announcement.Of(B));
        Assert.Equal(6, a.Counters.Read().Refused);
    }

    [Fact]
    public void A_private_uplink_gets_what_is_for_the_gateway_and_requests_of_dhcp_and_nothing_else()
    {
        MacAddress gateway = new(0x52550a000202);
        FakeUplink nat = new(gateway, [IPAddress.Parse("10.0.2.2")]);
        FakePort a = new() { Uplink = nat };
        Assert.True(_bridge.TryAttach(a, A));
        FakePort b = Attach(B);
        Send(a, Plain(A, gateway));
        Send(a, Arp(A, "10.0.2.15", "10.0.2.2"));
        Send(a, Udp(A, MacAddress.Broadcast, "0.0.0.0", "255.255.255.255", 68, 67, new byte[240]));
        Assert.Equal((3, 0), (nat.Frames, b.Take().Length));
        Send(a, Arp(A, "10.0.2.15", "10.0.2.16"));
        Send(a, Plain(A, B));
        Send(a, Plain(A, MacAddress.Broadcast));
        Assert.Equal((3, 3), (nat.Frames, b.Take().Length));

        // An announcement is for both.
        Send(a, Announcement.Of(A));
        Assert.Equal((4, 1), (nat.Frames, b.Take().Length));
    }

    [Fact]
    public void An_announcement_is_a_request_of_reverse_arp_for_oneself() => Assert.Equal(
        "FFFFFFFFFFFF" + "00163E000001" + "8035" + "0001" + "0800" + "06" + "04" + "0003" + "00163E000001" + "00000000" + "00163E000001" + "00000000" + new string('0', 36),
        Convert.ToHexString(Announcement.Of(new MacAddress(0x00163e000001))));

    [Fact]
    public void Nobody_gets_anothers_word_for_headers_that_are_not_there()
    {
        FakePort a = Attach(A);
        FakePort b = Attach(B);
        void Passes(bool expected, byte[] frame, FrameOffload offload)
        {
            _bridge.Forward(a, frame, offload);
            Assert.Equal(expected ? 1 : 0, b.Take().Length);
        }

        Passes(true, Tcp(new byte[3000]), new FrameOffload(true, true, GsoKind.TcpV4, 1448));
        Passes(true, Tcp(new byte[3000], isV6: true), new FrameOffload(true, true, GsoKind.TcpV6, 1448));
        Passes(false, Tcp(new byte[3000]), new FrameOffload(true, true, GsoKind.TcpV6, 1448));
        Passes(false, Tcp(new byte[3000]), new FrameOffload(true, true, GsoKind.TcpV4, 7));
        Passes(true, Udp(A, B, "10.0.0.1", "10.0.0.2", 1, 2, new byte[100]), new FrameOffload(true, true, GsoKind.None, 0));
        Passes(false, Udp(A, B, "10.0.0.1", "10.0.0.2", 1, 2, new byte[100]), new FrameOffload(true, true, GsoKind.TcpV4, 1448));
        Passes(false, Plain(A, B), new FrameOffload(true, false, GsoKind.None, 0));
        Passes(false, Tcp(new byte[100])[..50], new FrameOffload(true, false, GsoKind.None, 0));
        Assert.Equal(5, a.Counters.Read().Refused);
    }

    [Fact]
    public void What_finds_no_room_is_counted_and_gone()
    {
        FakePort a = Attach(A);
        FakePort b = Attach(B);
        b.IsFull = true;
        Send(a, Plain(A, B));
        Assert.Equal((1, 0), (b.Counters.Read().Dropped, b.Counters.Read().ReceivedFrames));
    }

    [Fact]
    public void Random_bytes_never_throw()
    {
        int seed = Environment.TickCount;
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        Random random = new(seed);
        FakePort a = Attach(A, guard: new SourceGuard(A, [IPAddress.Parse("10.0.0.1")]));
        FakePort b = new(new PortVlan(1, 5)) { Uplink = new FakeUplink(B, [IPAddress.Parse("10.0.2.2")]), IsPromiscuous = true };
        Assert.True(_bridge.TryAttach(b, B));
        byte[][] seeds = [Arp(A, "10.0.0.1", "10.0.2.2"), Udp(A, B, "10.0.0.1", "10.0.0.2", 68, 67, new byte[20]), Tcp(new byte[30]), Tcp(new byte[30], isV6: true)];
        for (int i = 0; i < 50_000; i++)
        {
            byte[] frame = (byte[])seeds[random.Next(seeds.Length)].Clone();
            for (int n = random.Next(4); n >= 0; n--)
            {
                frame[random.Next(frame.Length)] = (byte)random.Next(256);
            }

            Send(random.Next(2) == 0 ? a : b, frame.AsSpan(0, random.Next(frame.Length + 1)).ToArray());
            a.Take();
            b.Take();
        }
    }

    private FakePort Attach(MacAddress address, PortVlan? vlan = null, SourceGuard? guard = null)
    {
        FakePort port = new(vlan) { Guard = guard };
        Assert.True(_bridge.TryAttach(port, address));
        return port;
    }

    private void Send(FakePort port, byte[] frame) => _bridge.Forward(port, frame, FrameOffload.None);

    private sealed class FakeUplink(MacAddress mac, IReadOnlyList<IPAddress> addresses) : PrivateUplink(mac, addresses)
    {
        public int Frames { get; private set; }

        public override bool TrySend(ReadOnlySpan<byte> frame, FrameOffload offload)
        {
            Frames++;
            return true;
        }
    }
}
