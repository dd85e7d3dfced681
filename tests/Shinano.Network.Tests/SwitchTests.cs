using System.Net.Sockets;
using System.Threading.Channels;
using Shinano.Network.Control;
using Shinano.Network.Frames;
using Shinano.Network.Link;
using Shinano.Network.Switch;
using StreamJsonRpc;
using static Shinano.Network.Tests.TestFrames;

namespace Shinano.Network.Tests;

/// <summary>The switch as a whole: its sockets, with the test as xend, as domain processes and as passt.</summary>
public sealed class SwitchTests : IAsyncLifetime
{
    private static readonly string TokenA = new('a', 64);
    private static readonly string TokenB = new('b', 64);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("shi-sw");
    private readonly Channel<string> _lost = Channel.CreateUnbounded<string>();
    private SwitchPaths _paths = null!;
    private SwitchServer _server = null!;
    private JsonRpc _connection = null!;
    private ISwitchControl _control = null!;

    private static readonly MacAddress Gateway = new(0x52550a000202);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _paths = new SwitchPaths(_directory.FullName);
        _server = new SwitchServer(_paths);
        (_connection, _control) = SwitchChannel.Connect(new NetworkStream(await ConnectAsync(_paths.Control), ownsSocket: true), new Events(_lost));
    }

    public async ValueTask DisposeAsync()
    {
        _connection.Dispose();
        await _server.DisposeAsync();
        _directory.Delete(recursive: true);
    }

    [Fact]
    public async Task Two_domains_exchange_frames_and_are_counted_and_captured()
    {
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_paths.Links));
        await _control.AddVnicAsync(Spec("vnic1", TokenA, A), Cancellation);
        await _control.AddVnicAsync(Spec("vnic2", TokenB, B), Cancellation);
        await using Peer a = await Peer.ConnectAsync(_paths.Links, TokenA, this);
        await using Peer b = await Peer.ConnectAsync(_paths.Links, TokenB, this);
        string file = Path.Combine(_directory.FullName, "a.pcap");
        await _control.StartCaptureAsync("vnic1", file, Cancellation);
        FrameOffload offload = new(true, true, GsoKind.TcpV4, 1000);
        byte[] long_ = Tcp(new byte[60000]);
        await a.SendAsync(Plain(A, B), default);
        await a.SendAsync(long_, offload);
        Assert.Equal(Plain(A, B), (await b.ReceiveAsync()).Frame);
        (byte[] frame, FrameOffload got) = await b.ReceiveAsync();
        Assert.Equal(long_, frame);
        Assert.Equal(offload, got);
        await b.SendAsync(Plain(B, A), default);
        await a.ReceiveAsync();
        Assert.Equal(new CaptureSummary(file, 3, 0), await _control.StopCaptureAsync("vnic1", Cancellation));
        Assert.Equal(24 + (3 * 16) + (2 * Plain(A, B).Length) + long_.Length, new FileInfo(file).Length);
        VnicStatus status = (await _control.ListAsync(Cancellation))[0];
        Assert.Equal(("vnic1", true, 2L, 1L), (status.Name, status.IsConnected, status.Counters.SentFrames, status.Counters.ReceivedFrames));
    }

    [Fact]
    public async Task Another_token_is_refused_and_a_connection_takes_the_place_of_the_one_before()
    {
        await _control.AddVnicAsync(Spec("vnic1", TokenA, A), Cancellation);
        using (Socket stranger = await ConnectAsync(_paths.Links))
        {
            await stranger.SendAllAsync(LinkHello.Write(TokenB), Cancellation);
            Assert.False(await stranger.ReceiveAllAsync(new byte[1], Cancellation));
        }

        using Socket first = await ConnectAsync(_paths.Links);
        await first.SendAllAsync(LinkHello.Write(TokenA), Cancellation);
        Assert.True(await first.ReceiveAllAsync(new byte[LinkHello.AnswerSize], Cancellation));
        using Socket second = await ConnectAsync(_paths.Links);
        await second.SendAllAsync(LinkHello.Write(TokenA), Cancellation);
        Assert.True(await second.ReceiveAllAsync(new byte[LinkHello.AnswerSize], Cancellation));
        Assert.False(await first.ReceiveAllAsync(new byte[1], Cancellation));

        // What no peer of ours sends ends the connection.
        await second.SendAllAsync(Enumerable.Repeat((byte)0xff, 64).ToArray(), Cancellation);
        Assert.False(await second.ReceiveAllAsync(new byte[1], Cancellation));
    }

    [Fact]
    public async Task Refusals_have_reasons()
    {
        await _control.AddVnicAsync(Spec("vnic1", TokenA, A), Cancellation);
        await _control.AddVnicAsync(Spec("vnic1", TokenA, A), Cancellation);
        Assert.Contains("another vnic's", (await Assert.ThrowsAsync<RemoteInvocationException>(() =>
            _control.AddVnicAsync(Spec("vnic2", TokenB, A), Cancellation))).Message, StringComparison.Ordinal);
        Assert.Contains("no vnic", (await Assert.ThrowsAsync<RemoteInvocationException>(() =>
            _control.LimitAsync("vnic9", 5, Cancellation))).Message, StringComparison.Ordinal);
        Assert.Contains("not being captured", (await Assert.ThrowsAsync<RemoteInvocationException>(() =>
            _control.StopCaptureAsync("vnic1", Cancellation))).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<RemoteInvocationException>(() => _control.StartCaptureAsync("vnic1", _paths.Links, Cancellation));
    }

    [Fact]
    public async Task A_nat_has_its_vnic_alone_and_its_end_is_told()
    {
        using Socket nat = await AddNatAsync();
        await _control.AddVnicAsync(Spec("vnic2", TokenB, B), Cancellation);
        await using Peer a = await Peer.ConnectAsync(_paths.Links, TokenA, this);
        await using Peer b = await Peer.ConnectAsync(_paths.Links, TokenB, this);
        byte[] request = Arp(A, "10.0.2.15", "10.0.2.2");
        await a.SendAsync(request, default);
        byte[] heard = new byte[4 + request.Length];
        Assert.True(await nat.ReceiveAllAsync(heard, Cancellation));
        Assert.Equal([0, 0, 0, (byte)request.Length, .. request], heard);

        byte[] answer = Plain(Gateway, A);
        await nat.SendAllAsync(new byte[] { 0, 0, 0, (byte)answer.Length }.Concat(answer).ToArray(), Cancellation);
        Assert.Equal(answer, (await a.ReceiveAsync()).Frame);
        await a.SendAsync(Plain(A, B), default);
        Assert.Equal(Plain(A, B), (await b.ReceiveAsync()).Frame);
        nat.Dispose();
        Assert.Equal("vnic1", await _lost.Reader.ReadAsync(Cancellation));
        Assert.False((await _control.ListAsync(Cancellation))[0].IsUplinkConnected);
    }

    [Fact]
    public async Task Connections_to_a_guest_that_has_said_nothing_yet_are_refused_and_shown_to_it()
    {
        using Socket nat = await AddNatAsync();
        byte[] asks = [0, 0, 0, 54, .. Tcp([], flags: 0x02)];
        byte[] refused = new byte[4 + ConnectionRefusal.Size];

        // Without a domain process, and with one whose guest is silent.
        await nat.SendAllAsync(asks, Cancellation);
        Assert.True(await nat.ReceiveAllAsync(refused, Cancellation));
        Assert.Equal(0x14, refused[4 + 14 + 20 + 13]);
        await using Peer a = await Peer.ConnectAsync(_paths.Links, TokenA, this);
        await nat.SendAllAsync(asks, Cancellation);
        Assert.True(await nat.ReceiveAllAsync(refused, Cancellation));
        Assert.Equal(asks[4..], (await a.ReceiveAsync()).Frame);

        // Once it has spoken it answers for itself.
        byte[] request = Arp(A, "10.0.2.15", "10.0.2.2");
        await a.SendAsync(request, default);
        byte[] heard = new byte[4 + request.Length];
        Assert.True(await nat.ReceiveAllAsync(heard, Cancellation));
        await nat.SendAllAsync(asks, Cancellation);
        Assert.Equal(asks[4..], (await a.ReceiveAsync()).Frame);
        await a.SendAsync(request, default);
        Assert.True(await nat.ReceiveAllAsync(heard, Cancellation));
        Assert.Equal(request, heard[4..]);
    }

    /// <summary>Adds vnic1 behind a NAT that the test plays.</summary>
    /// <returns>The switch's connection to it.</returns>
    private async Task<Socket> AddNatAsync()
    {
        string path = Path.Combine(_directory.FullName, "nat");
        using Socket passt = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        passt.Bind(new UnixDomainSocketEndPoint(path));
        passt.Listen();
        await _control.AddVnicAsync(
            Spec("vnic1", TokenA, A) with { Nat = new NatSpec { SocketPath = path, Mac = Gateway.ToString(), Addresses = ["10.0.2.2"] } }, Cancellation);
        return await passt.AcceptAsync(Cancellation);
    }

    private static VnicSpec Spec(string name, string token, MacAddress mac) => new() { Name = name, Token = token, Mac = mac.ToString(), Bridge = "br" };

    private static async Task<Socket> ConnectAsync(string path)
    {
        Socket socket = LinkSockets.Create();
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), Cancellation);
        return socket;
    }

    /// <summary>xend.</summary>
    private sealed class Events(Channel<string> lost) : ISwitchEvents
    {
        public void NatLost(string name) => lost.Writer.TryWrite(name);
    }

    /// <summary>A domain process.</summary>
    private sealed class Peer : ILinkReceiver, IAsyncDisposable
    {
        private readonly Channel<(byte[], FrameOffload)> _frames = Channel.CreateUnbounded<(byte[], FrameOffload)>();
        private readonly SwitchLink _link;

        private Peer(string path, string token) => _link = new SwitchLink(path, token, this);

        public static async Task<Peer> ConnectAsync(string path, string token, SwitchTests test)
        {
            Peer peer = new(path, token);
            while (!peer._link.IsConnected || !(await test._control.ListAsync(Cancellation)).Any(vnic => vnic.IsConnected && vnic.Name == (token == TokenA ? "vnic1" : "vnic2")))
            {
                await Task.Yield();
            }

            return peer;
        }

        public async Task SendAsync(byte[] frame, FrameOffload offload)
        {
            byte[] framed = new byte[LinkFormat.HeaderSize + frame.Length];
            LinkFormat.WriteHeader(framed, frame.Length, offload);
            frame.CopyTo(framed, LinkFormat.HeaderSize);
            Assert.True(await _link.TrySendAsync(framed, Cancellation));
        }

        public async Task<(byte[] Frame, FrameOffload Offload)> ReceiveAsync() => await _frames.Reader.ReadAsync(Cancellation);

        public ValueTask<int> TakeAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
        {
            ReadOnlySpan<byte> rest = bytes.Span;
            while (LinkFormat.TryRead(ref rest, out ReadOnlySpan<byte> frame, out FrameOffload offload) == LinkReadStatus.Frame)
            {
                _frames.Writer.TryWrite((frame.ToArray(), offload));
            }

            return ValueTask.FromResult(bytes.Length - rest.Length);
        }

        public ValueTask DisposeAsync() => _link.DisposeAsync();
    }
}
