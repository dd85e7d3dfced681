using System.Net.Sockets;
using Shinano.Devices.Paravirtual.Console;
using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Devices.Paravirtual.Tests.Console;

public sealed class ConsoleDeviceTests : IAsyncLifetime
{
    private readonly ConsoleRig _rig = new();

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _rig.DisposeAsync();

    [Fact]
    public async Task Bytes_go_both_ways_and_a_later_viewer_reads_what_was_said()
    {
        await _rig.AttachAsync();
        using Socket early = await _rig.ViewAsync();
        await early.SendAsync("typed before there was a ring"u8.ToArray(), ConsoleRig.Token);
        await _rig.ConnectAsync();
        Assert.Equal("typed before there was a ring", await _rig.HearAsync(29));
        _rig.Say("hello");
        Assert.Equal("hello", await ConsoleRig.ReadAsync(early, 5));
        using Socket late = await _rig.ViewAsync();
        Assert.Equal("hello", await ConsoleRig.ReadAsync(late, 5));
        Assert.Equal((5, 29), (_rig.Counted("bytes_out"), _rig.Counted("bytes_in")));
    }

    [Fact]
    public async Task A_programs_peer_is_not_told_what_was_said_to_the_one_before()
    {
        await _rig.AttachAsync(sendsBacklog: false);
        await _rig.ConnectAsync();
        using (Socket first = await _rig.ViewAsync())
        {
            await AnsweredAsync(first, "a");
            _rig.Say("secret");
            Assert.Equal("secret", await ConsoleRig.ReadAsync(first, 6));
        }

        using Socket second = await _rig.ViewAsync();
        await AnsweredAsync(second, "b");
        _rig.Say("new");
        Assert.Equal("new", await ConsoleRig.ReadAsync(second, 3));

        // What a peer has sent has arrived, so it is served.
        async Task AnsweredAsync(Socket peer, string text)
        {
            await peer.SendAsync(System.Text.Encoding.ASCII.GetBytes(text), ConsoleRig.Token);
            Assert.Equal(text, await _rig.HearAsync(text.Length));
        }
    }

    [Fact]
    public async Task What_was_said_and_who_looks_outlive_a_front_end_and_a_suspension()
    {
        await _rig.AttachAsync();
        using Socket viewer = await _rig.ViewAsync();
        await _rig.ConnectAsync();
        _rig.Say("one ");
        Assert.Equal("one ", await ConsoleRig.ReadAsync(viewer, 4));
        await _rig.Registry.SuspendAsync(ConsoleRig.Token);
        Assert.Equal((0, 0), (_rig.Guest.Mapped, _rig.Guest.Ports));

        // Said, but not taken: as in a saved domain's memory.
        _rig.Say("two ");
        _rig.Registry.Resume();
        Assert.Equal("two ", await ConsoleRig.ReadAsync(viewer, 4));
        _rig.Say("three ");
        _rig.Publish("state", "5");
        await _rig.UntilAsync("5");
        _rig.Publish("state", "6");
        await _rig.UntilAsync("6");
        Assert.Equal("three ", await ConsoleRig.ReadAsync(viewer, 6));
        _rig.Publish("state", "1");
        await _rig.UntilAsync("2");
        await _rig.ConnectAsync("6", "3");
        _rig.Say("four", ring: 6);
        Assert.Equal("four", await ConsoleRig.ReadAsync(viewer, 4));
    }

    [Theory]
    [InlineData("5", "9", "port 9 does not wait for domain 0")]
    [InlineData("5", "0", "port 0 does not wait for domain 0")]
    [InlineData("64", "4", "ring-ref 64 is not granted")]
    [InlineData("48", "4", "ring-ref 48 is not granted")]
    [InlineData("4294967296", "4", "/local/domain/3/device/console/1/ring-ref is missing, or no number")]
    [InlineData("-1", "4", "/local/domain/3/device/console/1/ring-ref is missing, or no number")]
    [InlineData("5", "", "/local/domain/3/device/console/1/port is missing, or no number")]
    public async Task Nodes_that_make_no_sense_close_the_device_and_hold_nothing(string ring, string port, string error)
    {
        await _rig.AttachAsync();
        await _rig.ConnectAsync(ring, port, state: "5");
        Assert.Equal(error, _rig.Error);
        Assert.Equal((0, 0), (_rig.Guest.Mapped, _rig.Guest.Ports));

        // A front end that comes to its senses is served.
        _rig.Publish("state", "1");
        await _rig.UntilAsync("2");
        await _rig.ConnectAsync();
    }

    [Fact]
    public async Task The_end_gives_viewers_the_rest()
    {
        await _rig.AttachAsync();
        using Socket viewer = await _rig.ViewAsync();
        await _rig.ConnectAsync();
        await viewer.SendAsync("x"u8.ToArray(), ConsoleRig.Token);
        await _rig.HearAsync(1);
        _rig.Say("last words");
        await _rig.Registry.DisposeAsync();
        Assert.Equal("last words", await ConsoleRig.ReadAsync(viewer, 10));
        Assert.Equal(0, await viewer.ReceiveAsync(new byte[1], ConsoleRig.Token));
    }

    [Fact]
    public async Task A_socket_is_replaced_when_nobody_listens_there_any_more()
    {
        using (Socket gone = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            gone.Bind(new UnixDomainSocketEndPoint(_rig.SocketPath));
            gone.Listen(1);
            Assert.Throws<BackEndException>(() => new ConsoleDevice("1", _rig.SocketPath, 4096, sendsBacklog: true));

            // As a process that was killed: the file stays.
            File.Move(_rig.SocketPath, _rig.SocketPath + ".kept");
        }

        File.Move(_rig.SocketPath + ".kept", _rig.SocketPath);
        await _rig.AttachAsync();
        using Socket viewer = await _rig.ViewAsync();
    }

    [Fact]
    public async Task A_file_that_is_no_socket_is_not_replaced()
    {
        await File.WriteAllTextAsync(_rig.SocketPath, "precious", ConsoleRig.Token);
        BackEndException refused = Assert.Throws<BackEndException>(() => new ConsoleDevice("1", _rig.SocketPath, 4096, sendsBacklog: true));
        Assert.Contains(_rig.SocketPath, refused.Message, StringComparison.Ordinal);
        Assert.Equal("precious", await File.ReadAllTextAsync(_rig.SocketPath, ConsoleRig.Token));
    }
}
