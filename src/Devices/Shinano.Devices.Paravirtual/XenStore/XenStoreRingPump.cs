using System.Runtime.InteropServices;
using Shinano.Memory;
using Shinano.XenAbi;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Devices.Paravirtual.XenStore;

/// <summary>Moves xenstore messages between a guest's ring and xend.</summary>
/// <remarks>
/// Source: public/io/xs_wire.h: struct xenstore_domain_interface; docs/misc/xenstore-ring.txt.
/// <code>
///    0  req[1024]  (of the guest)     2048  req_cons   2052  req_prod    2064  server_features   2072  error
/// 1024  rsp[1024]  (to the guest)     2056  rsp_cons   2060  rsp_prod    2068  connection
/// </code>
/// </remarks>
public sealed class XenStoreRingPump : IRingRelayGuest, IAsyncDisposable
{
    private const int RingSize = 1024;
    private const int FeaturesOffset = 2064;
    private const int ConnectionOffset = 2068;
    private const int ErrorOffset = 2072;

    // XENSTORE_SERVER_FEATURE_RECONNECTION, XENSTORE_SERVER_FEATURE_ERROR.
    private const uint Features = 1 | 2;
    private const uint Reconnect = 1;
    private const uint ErrorRingIndex = 2;
    private const uint ErrorProtocol = 3;

    private readonly GuestMemory _memory;
    private readonly ulong _frame;
    private readonly Action _notifyGuest;
    private readonly SharedRing _requests;
    private readonly SharedRing _responses;
    private readonly GuestSignal _signal = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly IXenStoreRelay _relay;
    private readonly Task _running;
    private readonly Lock _moving = new();
    private readonly SemaphoreSlim _oneReset = new(1, 1);
    private readonly List<byte> _undelivered = [];
    private bool _held;
    private int _disposed;

    /// <summary>Starts. Whoever notes the guest's event channel calls <see cref="GuestNotified"/>.</summary>
    /// <param name="memory">The guest's.</param>
    /// <param name="ringFrame">Frame of the ring's page, which the caller keeps from leaving the domain.</param>
    /// <param name="notifyGuest">Sends on the event channel; must not block.</param>
    /// <param name="domain">Whose ring it is.</param>
    /// <param name="token">What xend gave this process to show there.</param>
    /// <param name="socketPath">xend's relay socket.</param>
    /// <param name="state">Where an earlier pump of the ring was; null for a new ring.</param>
    public XenStoreRingPump(
        GuestMemory memory, ulong ringFrame, Action notifyGuest, DomainId domain, RelayToken token, string socketPath, XenStoreRingState? state = null)
        : this(memory, ringFrame, notifyGuest, guest => new SocketRelay(domain, token, socketPath, guest, state?.Relay), state)
    {
    }

    internal XenStoreRingPump(
        GuestMemory memory, ulong ringFrame, Action notifyGuest, Func<IRingRelayGuest, IXenStoreRelay> connect, XenStoreRingState? state = null)
    {
        if (state is not null)
        {
            _undelivered.AddRange(state.Undelivered.Span);
        }

        _memory = memory;
        _frame = ringFrame;
        _notifyGuest = notifyGuest;
        HeldFrame page = new(memory, ringFrame);
        _requests = new SharedRing(page, 0, RingSize, 2048, 2052);
        _responses = new SharedRing(page, RingSize, RingSize, 2056, 2060);
        Store(FeaturesOffset, Features);
        _relay = connect(this);
        _running = Task.Run(RunAsync);
    }

    /// <summary>The guest sent on the store's event channel. Any thread; never blocks.</summary>
    public void GuestNotified() => _signal.Set();

    /// <summary>
    /// Stops to move anything, so that ring and relay keep still: the guest executes nothing. Requests that were taken are answered first; answers that the ring
    /// has no room for are kept. Undone by <see cref="Release"/>, also after a failure.
    /// </summary>
    /// <returns>What a successor must know.</returns>
    public async Task<XenStoreRingState> HoldAsync(CancellationToken cancellation)
    {
        lock (_moving)
        {
            _held = true;
        }

        _signal.Set();
        await _oneReset.WaitAsync(cancellation).ConfigureAwait(false);
        _oneReset.Release();
        RingRelayState relay = await _relay.QuiesceAsync(cancellation).ConfigureAwait(false);
        lock (_moving)
        {
            return new XenStoreRingState(relay, _undelivered.ToArray());
        }
    }

    /// <summary>Goes on after <see cref="HoldAsync"/>.</summary>
    public void Release()
    {
        lock (_moving)
        {
            _held = false;
        }

        _signal.Set();
    }

    /// <inheritdoc/>
    public async ValueTask DeliverAsync(XenStorePacket message, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(message);
        ReadOnlyMemory<byte> rest = message.Message;
        while (!rest.IsEmpty)
        {
            cancellation.ThrowIfCancellationRequested();
            long seen = _signal.Version;
            int count = 0;
            lock (_moving)
            {
                if (_held)
                {
                    _undelivered.AddRange(rest.Span);
                    return;
                }

                if (_responses.IsBroken)
                {
                    Fail(ErrorRingIndex);
                }

                count = TryDeliverKept() ? _responses.Produce(rest.Span) : 0;
            }

            if (count > 0)
            {
                rest = rest[count..];
                _notifyGuest();
            }
            else
            {
                await _signal.WaitAsync(seen, cancellation).ConfigureAwait(false);
            }
        }
    }

    /// <inheritdoc/>
    public void RoomForRequests() => _signal.Set();

    /// <summary>Stops reading and closes the connection; xend forgets the guest's watches when the domain is released.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        await _relay.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        byte[] buffer = new byte[RingSize];
        bool failed = false;
        while (!_stop.IsCancellationRequested)
        {
            long seen = _signal.Version;
            if (await ResetIfAskedAsync().ConfigureAwait(false))
            {
                failed = false;
                continue;
            }

            int taken;
            lock (_moving)
            {
                taken = _held ? 0 : TakeRequests(buffer, ref failed);
            }

            if (taken > 0)
            {
                _notifyGuest();
                if (_relay.GuestBrokeProtocol)
                {
                    failed = true;
                    Fail(ErrorProtocol);
                }

                continue;
            }

            await _signal.WaitAsync(seen, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Gives answers that were kept to the guest, and takes requests of it. Under the lock.</summary>
    private int TakeRequests(byte[] buffer, ref bool failed)
    {
        if (_undelivered.Count > 0)
        {
            TryDeliverKept();
            _notifyGuest();
        }

        if (!failed && _requests.IsBroken)
        {
            failed = true;
            Fail(ErrorRingIndex);
        }

        int count = failed ? 0 : _requests.Peek(buffer);
        int taken = count == 0 ? 0 : _relay.Submit(buffer.AsSpan(0, count));
        if (taken > 0)
        {
            _requests.Consume(taken);
        }

        return taken;
    }

    /// <summary>Puts on the ring what was kept; true when nothing is left of it. Under the lock.</summary>
    private bool TryDeliverKept()
    {
        int count = _undelivered.Count == 0 ? 0 : _responses.Produce(CollectionsMarshal.AsSpan(_undelivered));
        _undelivered.RemoveRange(0, count);
        return _undelivered.Count == 0;
    }

    private async Task<bool> ResetIfAskedAsync()
    {
        await _oneReset.WaitAsync().ConfigureAwait(false);
        try
        {
            if (Load(ConnectionOffset) != Reconnect || Volatile.Read(ref _held))
            {
                return false;
            }

            await ResetAsync().ConfigureAwait(false);
            return true;
        }
        finally
        {
            _oneReset.Release();
        }
    }

    /// <summary>The guest asked for a new start (connection field 1): old messages are gone before it sees the field at 0.</summary>
    private async Task ResetAsync()
    {
        await _relay.ResetAsync().ConfigureAwait(false);
        lock (_moving)
        {
            _undelivered.Clear();
        }

        _requests.Reset();
        _responses.Reset();
        Store(ErrorOffset, 0);
        Store(ConnectionOffset, 0);
        _notifyGuest();
    }

    private void Fail(uint error)
    {
        if (Load(ErrorOffset) != error)
        {
            Store(ErrorOffset, error);
            _notifyGuest();
        }
    }

    private uint Load(int offset) =>
        _memory.IsRam(_frame) ? Volatile.Read(ref _memory.Shared<uint>((_frame << GuestMemory.PageShift) + (uint)offset)) : 0;

    private void Store(int offset, uint value)
    {
        if (_memory.IsRam(_frame))
        {
            Volatile.Write(ref _memory.Shared<uint>((_frame << GuestMemory.PageShift) + (uint)offset), value);
        }
    }
}
