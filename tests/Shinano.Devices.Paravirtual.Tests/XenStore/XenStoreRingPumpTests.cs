using System.Threading.Channels;
using Shinano.Devices.Paravirtual.XenStore;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Devices.Paravirtual.Tests.XenStore;

public sealed class XenStoreRingPumpTests : IAsyncLifetime
{
    private readonly RingPage _page = new();
    private readonly Relay _relay = new();
    private readonly Channel<bool> _notified = Channel.CreateUnbounded<bool>();
    private readonly XenStoreRingPump _pump;

    public XenStoreRingPumpTests() =>
        _pump = new XenStoreRingPump(_page.Memory, RingPage.Frame, () => _notified.Writer.TryWrite(true), guest =>
        {
            _relay.Guest = guest;
            return _relay;
        });

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _pump.DisposeAsync();
        _page.Dispose();
    }

    [Fact]
    public async Task Requests_go_to_the_relay_and_wait_while_it_has_no_room()
    {
        _relay.Room = 3;
        _page.Put(0, 1024, 2052, "request"u8);
        _pump.GuestNotified();
        Assert.Equal("req"u8.ToArray(), await _relay.ReadAsync(3));
        _relay.Room = 100;
        _pump.RoomForRequests();
        Assert.Equal("uest"u8.ToArray(), await _relay.ReadAsync(4));
        await _notified.Reader.ReadAsync(Cancellation);
    }

    [Fact]
    public async Task A_message_longer_than_the_ring_is_delivered_in_pieces()
    {
        byte[] payload = new byte[3000];
        new Random(2).NextBytes(payload);
        XenStorePacket packet = XenStorePacket.Create(XenStoreOperation.Read, 1, 0, payload);
        Task delivering = _pump.DeliverAsync(packet, Cancellation).AsTask();
        List<byte> received = [];
        while (received.Count < packet.Message.Length)
        {
            await _notified.Reader.ReadAsync(Cancellation);
            received.AddRange(_page.Take(1024, 1024, 2056, 2060));
            _pump.GuestNotified();
        }

        await delivering;
        Assert.Equal(packet.Message.ToArray(), received);
    }

    [Fact]
    public async Task Bad_indices_set_the_error_field_until_the_guest_starts_anew()
    {
        _page.Word(2052) = 1025;
        _pump.GuestNotified();
        await _notified.Reader.ReadAsync(Cancellation);
        Assert.Equal(2u, Volatile.Read(ref _page.Word(2072)));
        await RestartAsync();
        Assert.Equal((0u, 0u, 1), (_page.Word(2072), _page.Word(2052), _relay.Resets));
        _page.Put(0, 1024, 2052, "again"u8);
        _pump.GuestNotified();
        Assert.Equal("again"u8.ToArray(), await _relay.ReadAsync(5));
    }

    [Fact]
    public async Task A_message_that_is_too_long_sets_the_error_field()
    {
        _relay.BreaksProtocol = true;
        _page.Put(0, 1024, 2052, "nonsense"u8);
        _pump.GuestNotified();
        Assert.Equal("nonsense"u8.ToArray(), await _relay.ReadAsync(8));
        while (Volatile.Read(ref _page.Word(2072)) != 3)
        {
            await _notified.Reader.ReadAsync(Cancellation);
        }
    }

    [Fact]
    public void The_features_are_announced() => Assert.Equal(3u, _page.Word(2064));

    [Fact]
    public async Task A_ring_that_is_held_keeps_still_and_goes_on_where_it_was()
    {
        await _pump.HoldAsync(Cancellation);
        _page.Put(0, 1024, 2052, "later"u8);
        _pump.GuestNotified();
        XenStorePacket packet = XenStorePacket.Create(XenStoreOperation.Read, 1, 0, "answer"u8);
        await _pump.DeliverAsync(packet, Cancellation);
        Assert.Empty(_page.Take(1024, 1024, 2056, 2060));
        XenStoreRingState state = await _pump.HoldAsync(Cancellation);
        Assert.Equal(packet.Message.ToArray(), state.Undelivered.ToArray());
        Assert.Equal(0u, _page.Word(2048));
        _pump.Release();
        Assert.Equal("later"u8.ToArray(), await _relay.ReadAsync(5));
        List<byte> received = [];
        while (received.Count < packet.Message.Length)
        {
            await _notified.Reader.ReadAsync(Cancellation);
            received.AddRange(_page.Take(1024, 1024, 2056, 2060));
        }

        Assert.Equal(packet.Message.ToArray(), received);
    }

    [Fact]
    public async Task A_successor_delivers_first_what_was_kept()
    {
        await _pump.DisposeAsync();
        await using XenStoreRingPump successor = new(
            _page.Memory, RingPage.Frame, () => _notified.Writer.TryWrite(true), _ => _relay, new XenStoreRingState(RingRelayState.New, "kept"u8.ToArray()));
        successor.GuestNotified();
        await _notified.Reader.ReadAsync(Cancellation);
        Assert.Equal("kept"u8.ToArray(), _page.Take(1024, 1024, 2056, 2060));
    }

    private async Task RestartAsync()
    {
        Volatile.Write(ref _page.Word(2068), 1);
        _pump.GuestNotified();
        while (Volatile.Read(ref _page.Word(2068)) != 0)
        {
            await _notified.Reader.ReadAsync(Cancellation);
        }
    }

    private sealed class Relay : IXenStoreRelay
    {
        private readonly Channel<byte> _received = Channel.CreateUnbounded<byte>();

        public IRingRelayGuest? Guest { get; set; }

        public int Room { get; set; } = 100;

        public bool BreaksProtocol { get; set; }

        public int Resets { get; private set; }

        public bool GuestBrokeProtocol { get; private set; }

        public int Submit(ReadOnlySpan<byte> bytes)
        {
            int count = Math.Min(bytes.Length, Room);
            Room -= count;
            GuestBrokeProtocol = BreaksProtocol;
            foreach (byte each in bytes[..count])
            {
                _received.Writer.TryWrite(each);
            }

            return count;
        }

        public async Task<byte[]> ReadAsync(int count)
        {
            byte[] bytes = new byte[count];
            for (int i = 0; i < count; i++)
            {
                bytes[i] = await _received.Reader.ReadAsync(Cancellation);
            }

            return bytes;
        }

        public Task<RingRelayState> QuiesceAsync(CancellationToken cancellation) => Task.FromResult(RingRelayState.New);

        public Task ResetAsync()
        {
            Resets++;
            return Task.CompletedTask;
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
