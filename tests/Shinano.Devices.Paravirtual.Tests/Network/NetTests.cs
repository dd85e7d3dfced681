using System.Buffers.Binary;
using Shinano.Network.Frames;
using static Shinano.Devices.Paravirtual.Tests.Network.NetRig;

namespace Shinano.Devices.Paravirtual.Tests.Network;

/// <summary>public/io/netif.h, over assembled rings and a switch that the test plays.</summary>
public sealed class NetTests
{
    private const int More = 4;
    private const int Extra = 8;

    [Fact]
    public async Task A_packet_of_several_slots_reaches_the_switch_whole_with_what_is_left_to_do()
    {
        await using NetRig rig = await CreateAsync("feature-sg", "feature-rx-notify");
        byte[] packet = Pattern(6000);
        packet.AsSpan(0, 1000).CopyTo(rig.Guest.Page(2)[3096..]);
        packet.AsSpan(1000, 4096).CopyTo(rig.Guest.Page(50));
        packet.AsSpan(5096).CopyTo(rig.Guest.Page(3)[8..]);
        rig.Transmit(Request(2, 3096, 1 | 2 | More | Extra, 10, 6000), GsoExtra(1448, 1), Request(50, 0, More, 11, 4096), Request(3, 8, 0, 12, 904));
        (byte[] frame, FrameOffload offload) = await rig.HearAsync();
        Assert.Equal(packet, frame);
        Assert.Equal(new FrameOffload(true, true, GsoKind.TcpV4, 1448), offload);
        Assert.Equal([(10, 0), (0, 1), (11, 0), (12, 0)], await rig.AnswersAsync(4));
        Assert.Equal((1, 6000), (rig.Counter("tx_packets"), rig.Counter("tx_bytes")));
    }

    [Fact]
    public async Task A_packet_that_makes_no_sense_is_answered_with_an_error_and_the_next_one_goes()
    {
        await using NetRig rig = await CreateAsync();
        rig.Transmit(Request(2, 0, 0, 1, 13));
        rig.Transmit(Request(2, 4000, 0, 2, 97));
        rig.Transmit(Request(900, 0, 0, 3, 60));
        rig.Transmit(Request(2, 0, More, 4, 100), Request(3, 0, 0, 5, 100));
        rig.Transmit(Request(2, 0, More, 6, 5000), Request(3, 1, 0, 7, 4096));
        Assert.Equal([(1, -1), (2, -1), (3, -1), (4, -1), (5, -1), (6, -1), (7, -1)], await rig.AnswersAsync(7));
        Pattern(60).CopyTo(rig.Guest.Page(2));
        rig.Transmit(Request(2, 0, 0, 8, 60));
        Assert.Equal(Pattern(60), (await rig.HearAsync()).Frame);
        Assert.Equal((8, 0), Assert.Single(await rig.AnswersAsync(1)));
        Assert.Equal(5, rig.Counter("tx_errors"));
    }

    public static TheoryData<string, byte[][]> Broken => new()
    {
        { "no extra", [Request(2, 0, Extra, 1, 60)] },
        { "unknown extra", [Request(2, 0, Extra, 1, 60), MulticastExtra(9, default)] },
        { "gso without size", [Request(2, 0, Extra, 1, 60), GsoExtra(0, 1)] },
        { "unknown gso", [Request(2, 0, Extra, 1, 60), GsoExtra(1, 3)] },
        { "no end", [Request(2, 0, More, 1, 60)] },
        { "too many slots", [Request(2, 0, More, 1, 60), .. Enumerable.Range(0, 21).Select(id => Request(2, 0, More, id, 1))] },
    };

    [Theory]
    [MemberData(nameof(Broken))]
    public async Task A_ring_after_which_nothing_makes_sense_is_left_alone_until_the_front_end_comes_again(string what, byte[][] slots)
    {
        await using NetRig rig = await CreateAsync();
        rig.Transmit(slots);
        while (!rig.Guest.Messages.ToArray().Any(message => message.Contains("broke its transmit ring", StringComparison.Ordinal)))
        {
            await Task.Yield();
        }

        Assert.True(rig.Counter("tx_packets") == 0, what);
        rig.Store[$"{Front}/state"] = "1";
        await rig.Store.UntilAsync($"{Back}/state", "2", TestContext.Current.CancellationToken);
        await rig.ConnectAsync();
        rig.Transmit(Request(2, 0, 0, 1, 60));
        Assert.Equal(60, (await rig.HearAsync()).Frame.Length);
    }

    [Fact]
    public async Task A_frame_is_spread_over_buffers_with_its_extra_second()
    {
        await using NetRig rig = await CreateAsync("feature-sg", "feature-gso-tcpv4", "feature-rx-notify");
        rig.Post(8);
        byte[] frame = Tcp(9000);
        await rig.SendAsync(frame, new FrameOffload(true, true, GsoKind.TcpV4, 1448));
        (int Flags, int Status, byte[] Entry, byte[] Page)[] got = await rig.ReceivedAsync(4);
        Assert.Equal([(1 | 2 | More | Extra, 4096), (More, 4096), (0, frame.Length - 8192)], [.. new[] { got[0], got[2], got[3] }.Select(one => (one.Flags, one.Status))]);
        Assert.Equal([1, 0, 0xa8, 5, 1, 0, 0, 0], got[1].Entry);
        Assert.Equal(frame, got[0].Page.Concat(got[2].Page).Concat(got[3].Page[..(frame.Length - 8192)]));
    }

    [Fact]
    public async Task A_front_end_without_offloads_gets_segments_with_checksums()
    {
        await using NetRig rig = await CreateAsync("feature-no-csum-offload", "feature-rx-notify");
        rig.Post(10);
        byte[] frame = Tcp(4000);
        await rig.SendAsync(frame, new FrameOffload(true, true, GsoKind.TcpV4, 1448));
        (int Flags, int Status, byte[] Entry, byte[] Page)[] got = await rig.ReceivedAsync(3);
        Assert.Equal([54 + 1448, 54 + 1448, 54 + 1104], got.Select(one => one.Status));
        Assert.Equal(frame[54..], got.SelectMany(one => one.Page[54..one.Status]));

        byte[] blank = Tcp(100);
        byte[] right = [.. blank];
        InternetChecksum.TryComplete(right);
        blank[50] = blank[51] = 0x55;
        await rig.SendAsync(blank, new FrameOffload(true, true, GsoKind.None, 0));
        Assert.Equal(right, (await rig.ReceivedAsync(1))[0].Page[..right.Length]);
    }

    [Fact]
    public async Task Without_buffers_frames_are_dropped_and_buffers_that_come_are_used()
    {
        // It does not tell when it posts buffers, so it is not waited for.
        await using NetRig rig = await CreateAsync();
        await rig.SendAsync(Pattern(60));
        await rig.SendAsync(Pattern(5000));
        while (rig.Counter("rx_dropped") < 2)
        {
            await Task.Yield();
        }

        rig.Post(1);
        await rig.SendAsync(Pattern(61));
        Assert.Equal(61, Assert.Single(await rig.ReceivedAsync(1)).Status);
        Assert.Equal(2, rig.Counter("rx_dropped"));
    }

    [Fact]
    public async Task A_front_end_that_tells_is_waited_for()
    {
        await using NetRig rig = await CreateAsync("feature-rx-notify");
        rig.Post(1);
        await rig.SendAsync(Pattern(60));
        await rig.SendAsync(Pattern(61));
        await rig.ReceivedAsync(1);
        rig.Post(1);
        Assert.Equal(61, Assert.Single(await rig.ReceivedAsync(1)).Status);
    }

    [Fact]
    public async Task Multicast_comes_when_it_was_asked_for()
    {
        await using NetRig rig = await CreateAsync("request-multicast-control", "feature-rx-notify");
        MacAddress group = new(0x333300000001);
        rig.Post(4);
        byte[] toGroup = Pattern(60);
        group.Write(toGroup);
        byte[] toAll = Pattern(70);
        MacAddress.Broadcast.Write(toAll);
        await rig.SendAsync(toGroup);
        await rig.SendAsync(toAll);
        Assert.Equal(70, Assert.Single(await rig.ReceivedAsync(1)).Status);
        rig.Transmit(Request(2, 0, Extra, 1, 60), MulticastExtra(2, group));
        Assert.Equal([(1, 0), (0, 1)], await rig.AnswersAsync(2));
        await rig.SendAsync(toGroup);
        Assert.Equal(60, Assert.Single(await rig.ReceivedAsync(1)).Status);
        rig.Transmit(Request(2, 0, Extra, 2, 60), MulticastExtra(3, group));
        await rig.AnswersAsync(2);
        await rig.SendAsync(toGroup);
        await rig.SendAsync(toAll);
        Assert.Equal(70, Assert.Single(await rig.ReceivedAsync(1)).Status);
    }

    private static byte[] Pattern(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)((i * 7) & 0xfe))];

    /// <summary>A TCP segment over IPv4 with so many bytes of payload.</summary>
    private static byte[] Tcp(int length)
    {
        byte[] frame = new byte[54 + length];
        new Random(length).NextBytes(frame.AsSpan(54));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), EthernetHeader.IpV4);
        frame[14] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(16), (ushort)(40 + length));
        frame[23] = 6;
        frame[46] = 0x50;
        InternetChecksum.WriteIpV4(frame.AsSpan(14, 20));
        InternetChecksum.TryComplete(frame);
        return frame;
    }
}
