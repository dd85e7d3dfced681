using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Network.Frames;
using Shinano.Network.Link;

namespace Shinano.Devices.Paravirtual.Network;

/// <summary>
/// A pair of rings. A loop takes what the guest sends, many packets at a time, and waits for the switch when that does; what the switch brings is put into the
/// guest's buffers by the link's reader.
/// </summary>
internal sealed class NetQueue : IAsyncDisposable
{
    private const int BatchBytes = 256 << 10;

    /// <summary>How long a guest that posts no buffers is waited for, once; afterwards its packets are dropped until it does.</summary>
    private static readonly TimeSpan StallTime = TimeSpan.FromMilliseconds(200);

    private readonly TransmitRing _transmit;
    private readonly ReceiveRing _receive;
    private readonly IReadOnlyList<IGrantedPage> _pages;
    private readonly FrontEndFeatures _features;
    private readonly NetCounters _counters;
    private readonly Action<string> _log;
    private readonly GuestSignal _requests = new();
    private readonly GuestSignal _buffers = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _receiving = new();
    private readonly byte[] _scratch = new byte[LinkFormat.MaximumFrame];
    private IFrontEndPort? _transmitPort;
    private IFrontEndPort? _receivePort;
    private Task _running = Task.CompletedTask;
    private bool _hasReceived;
    private bool _isStalled;
    private bool _isClosed;

    /// <param name="transmit">Transmit ring's page, and</param>
    /// <param name="receive">receive ring's; both are unmapped with this.</param>
    /// <exception cref="BackEndException">A ring makes no sense.</exception>
    public NetQueue(
        IGrantedPage transmit,
        IGrantedPage receive,
        IFrontEndDomain guest,
        FrontEndFeatures features,
        MulticastFilter multicast,
        NetCounters counters,
        Action<string> log)
    {
        _pages = [transmit, receive];
        _features = features;
        _counters = counters;
        _log = log;
        _transmit = new TransmitRing(new BackRing([transmit], NetAbi.TransmitEntrySize), guest, multicast);
        _receive = new ReceiveRing(new BackRing([receive], NetAbi.ReceiveEntrySize), guest, features);
    }

    /// <summary>The guest sent on the channel of both rings.</summary>
    public void GuestNotified()
    {
        _requests.Set();
        _buffers.Set();
    }

    /// <summary>The guest sent on the transmit ring's own channel.</summary>
    public void TransmitNotified() => _requests.Set();

    /// <summary>The guest sent on the receive ring's own channel.</summary>
    public void ReceiveNotified() => _buffers.Set();

    /// <summary>Starts to serve.</summary>
    /// <param name="transmitPort">Tells the guest that packets were taken.</param>
    /// <param name="receivePort">Tells it that packets came; may be the same.</param>
    public void Start(IFrontEndPort transmitPort, IFrontEndPort receivePort)
    {
        _transmitPort = transmitPort;
        _receivePort = receivePort;
    }

    /// <summary>Begins to take what the guest sends.</summary>
    public void Open(SwitchLink link) => _running = Task.Run(() => TransmitAsync(link));

    /// <summary>Puts a frame into the guest's buffers; waits for them once when there are none.</summary>
    public async ValueTask DeliverAsync(ReadOnlyMemory<byte> frame, FrameOffload offload, CancellationToken cancellation)
    {
        while (true)
        {
            long seen = _buffers.Version;
            if (TryDeliver(frame.Span, offload))
            {
                return;
            }

            // The guest must see what it has before it posts more.
            Flush();
            if (_isStalled || !_features.NotifiesReceive)
            {
                _counters.CountReceivedDropped();
                return;
            }

            using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _stop.Token);
            limit.CancelAfter(StallTime);
            await _buffers.WaitAsync(seen, limit.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _isStalled = limit.IsCancellationRequested;
        }
    }

    /// <summary>Shows the guest what was delivered.</summary>
    public void Flush()
    {
        lock (_receiving)
        {
            if (_hasReceived && !_isClosed)
            {
                _hasReceived = false;
                if (_receive.Push())
                {
                    _receivePort!.Notify();
                }
            }
        }
    }

    /// <summary>Ends both directions, closes the ports and unmaps the rings.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        lock (_receiving)
        {
            if (_isClosed)
            {
                return;
            }

            _isClosed = true;
            _transmitPort?.Dispose();
            if (_receivePort != _transmitPort)
            {
                _receivePort?.Dispose();
            }

            foreach (IGrantedPage page in _pages)
            {
                page.Dispose();
            }
        }
    }

    private bool TryDeliver(ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        lock (_receiving)
        {
            if (_isClosed || _receive.IsBroken)
            {
                _counters.CountReceivedDropped();
                return true;
            }

            if (offload.Gso == GsoKind.TcpV4 ? !_features.GsoV4 : offload.Gso == GsoKind.TcpV6 && !_features.GsoV6)
            {
                return TryDeliverCut(frame, offload);
            }

            if (offload.ChecksumBlank && NeedsChecksum(frame))
            {
                Span<byte> copy = _scratch.AsSpan(0, frame.Length);
                frame.CopyTo(copy);
                InternetChecksum.TryComplete(copy);
                return TryPut(copy, offload with { ChecksumBlank = false });
            }

            return TryPut(frame, offload);
        }
    }

    private bool TryPut(ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        int slots = _receive.SlotsOf(frame.Length, offload);
        if (slots == 0)
        {
            _counters.CountReceivedDropped();
            return true;
        }

        if (!_receive.HasBuffers(slots))
        {
            return false;
        }

        _isStalled = false;
        _hasReceived = true;
        if (_receive.Put(frame, offload))
        {
            _counters.CountReceived(frame.Length);
        }
        else
        {
            _counters.CountReceivedError();
        }

        return true;
    }

    /// <summary>For a guest that takes no long frames: all of its segments, or none yet.</summary>
    private bool TryDeliverCut(ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        int slots = (frame.Length / offload.SegmentSize) + 1;
        if (slots > _receive.Size)
        {
            _counters.CountReceivedDropped();
            return true;
        }

        if (!_receive.HasBuffers(slots))
        {
            return false;
        }

        FrameOffload whole = FrameOffload.None with { ChecksumValid = true };
        if (!Segmenter.TryCut(frame, offload.SegmentSize, _scratch, one => TryPut(one, whole)))
        {
            _counters.CountReceivedDropped();
        }

        return true;
    }

    private bool NeedsChecksum(ReadOnlySpan<byte> frame) =>
        EthernetHeader.TryRead(frame, out EthernetHeader header) && (header.Type == EthernetHeader.IpV6 ? !_features.ChecksumV6 : !_features.ChecksumV4);

    private async Task TransmitAsync(SwitchLink link)
    {
        byte[] batch = new byte[BatchBytes];
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                long seen = _requests.Version;
                (int length, int packets, TransmitStatus end) = TakeBatch(batch);
                if (length > 0 && !await link.TrySendAsync(batch.AsMemory(0, length), _stop.Token).ConfigureAwait(false))
                {
                    _counters.CountSentDropped(packets);
                }

                if (end == TransmitStatus.Broken)
                {
                    _log($"the front end broke its transmit ring ({_transmit.Problem}): nothing more is taken");
                    return;
                }

                if (end == TransmitStatus.Empty && !_transmit.FinalCheck())
                {
                    await _requests.WaitAsync(seen, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                }
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // The boundary of the loop: the interface is silent, the domain goes on.
            _log(e.ToString());
        }
    }

    /// <summary>Takes packets until there are none, or no room for another.</summary>
    private (int Length, int Packets, TransmitStatus End) TakeBatch(byte[] batch)
    {
        int length = 0;
        int packets = 0;
        bool hasAnswered = false;
        TransmitStatus status = TransmitStatus.Packet;
        while (status is TransmitStatus.Packet or TransmitStatus.Answered && batch.Length - length >= LinkFormat.HeaderSize + LinkFormat.MaximumFrame)
        {
            status = _transmit.TryTake(batch.AsSpan(length + LinkFormat.HeaderSize), out int size, out FrameOffload offload);
            hasAnswered |= status is TransmitStatus.Packet or TransmitStatus.Answered;
            if (status == TransmitStatus.Packet)
            {
                LinkFormat.WriteHeader(batch.AsSpan(length), size, offload);
                length += LinkFormat.HeaderSize + size;
                packets++;
                _counters.CountSent(size);
            }
            else if (status == TransmitStatus.Answered)
            {
                _counters.CountSentError();
            }
        }

        if (hasAnswered && _transmit.Push())
        {
            _transmitPort!.Notify();
        }

        return (length, packets, status);
    }
}
