using System.Net.Sockets;
using Shinano.Network.Frames;
using Shinano.Network.Link;
using Shinano.Network.Switching;

namespace Shinano.Network.Switch;

/// <summary>
/// A vnic: a port whose other end is a domain process. What the guest sends is read no faster than its rate allows, so that its own queue fills, not ours.
/// What is for the guest waits in a bounded queue.
/// </summary>
internal sealed class VnicPort(Bridge bridge, PortVlan vlan, TimeProvider clock) : BridgePort(vlan)
{
    private const int QueueBytes = 2 << 20;
    private const int ReadBytes = 256 << 10;

    private readonly OutgoingFrames _outgoing = new(QueueBytes);
    private readonly SemaphoreSlim _oneConnection = new(1, 1);
    private readonly AsyncSignal _limitChanged = new();
    private Socket? _socket;
    private TokenBucket? _bucket;

    /// <summary>A domain process is connected.</summary>
    public bool IsConnected => Volatile.Read(ref _socket) is not null;

    /// <summary>Bytes that the guest may send in a second; null: as many as it can. Holds for what is sent next.</summary>
    public long? BytesPerSecond
    {
        get => Volatile.Read(ref _bucket)?.BytesPerSecond;
        set
        {
            Volatile.Write(ref _bucket, value is { } rate ? new TokenBucket(rate, clock) : null);
            _limitChanged.Set();
        }
    }

    /// <summary>Waits until the queue has room for any frame; at once when nobody is connected.</summary>
    public ValueTask WaitForRoomAsync(CancellationToken cancellation) =>
        IsConnected ? _outgoing.WaitForRoomAsync(cancellation) : ValueTask.CompletedTask;

    /// <summary>Serves a connection until it ends. A new one ends the one before: the domain process has connected again.</summary>
    /// <param name="socket">Said hello. Disposed with the connection.</param>
    /// <param name="cancellation">The vnic is removed.</param>
    public async Task ServeAsync(Socket socket, CancellationToken cancellation)
    {
        Interlocked.Exchange(ref _socket, socket)?.Dispose();
        await _oneConnection.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            _outgoing.Clear();
            Task sending = SendAsync(socket, end.Token);
            await ReceiveAsync(socket, end.Token).ConfigureAwait(false);
            await end.CancelAsync().ConfigureAwait(false);
            socket.Dispose();
            await sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The domain has ended, or its vnic.
        }
        finally
        {
            await end.CancelAsync().ConfigureAwait(false);
            Interlocked.CompareExchange(ref _socket, null, socket);
            socket.Dispose();
            _outgoing.Clear();
            _oneConnection.Release();
        }
    }

    /// <inheritdoc/>
    protected override bool TrySend(ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        if (!IsConnected)
        {
            return false;
        }

        Span<byte> header = stackalloc byte[LinkFormat.HeaderSize];
        LinkFormat.WriteHeader(header, frame.Length, offload);
        return _outgoing.TryAppend(header, frame);
    }

    /// <summary>Queues a frame of the private uplink.</summary>
    public bool TryDeliver(ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        if (!TrySend(frame, offload))
        {
            return false;
        }

        Counters.CountReceived(frame.Length);
        Capture?.Take(frame);
        return true;
    }

    private async Task SendAsync(Socket socket, CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                ReadOnlyMemory<byte> bytes = await _outgoing.TakeAsync(cancellation).ConfigureAwait(false);
                await socket.SendAllAsync(bytes, cancellation).ConfigureAwait(false);
            }
        }
        finally
        {
            // The reader finds its end.
            socket.Dispose();
        }
    }

    private async Task ReceiveAsync(Socket socket, CancellationToken cancellation)
    {
        byte[] buffer = new byte[ReadBytes];
        int filled = 0;
        while (true)
        {
            int count = await socket.ReceiveAsync(buffer.AsMemory(filled), SocketFlags.None, cancellation).ConfigureAwait(false);
            if (count == 0)
            {
                return;
            }

            filled += count;
            int taken = 0;
            while (true)
            {
                (int consumed, TimeSpan wait, bool isMalformed) = ForwardSome(buffer.AsSpan(taken, filled - taken));
                taken += consumed;
                if (isMalformed)
                {
                    return;
                }

                if (wait == TimeSpan.Zero)
                {
                    break;
                }

                await PauseAsync(wait, cancellation).ConfigureAwait(false);
            }

            buffer.AsSpan(taken, filled - taken).CopyTo(buffer);
            filled -= taken;
        }
    }

    /// <summary>Waits for tokens; a new limit is looked at when it comes.</summary>
    private async Task PauseAsync(TimeSpan wait, CancellationToken cancellation)
    {
        using CancellationTokenSource timer = new(wait, clock);
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellation);
        await _limitChanged.WaitAsync(_limitChanged.Version, both.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellation.ThrowIfCancellationRequested();
    }

    private (int Consumed, TimeSpan Wait, bool IsMalformed) ForwardSome(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> rest = bytes;
        while (true)
        {
            switch (LinkFormat.TryRead(ref rest, out ReadOnlySpan<byte> frame, out FrameOffload offload))
            {
                case LinkReadStatus.NeedMore:
                    return (bytes.Length - rest.Length, TimeSpan.Zero, false);
                case LinkReadStatus.Malformed:
                    return (0, TimeSpan.Zero, true);
            }

            bridge.Forward(this, frame, offload);
            if (Volatile.Read(ref _bucket)?.Pay(frame.Length) is { } wait && wait > TimeSpan.Zero)
            {
                return (bytes.Length - rest.Length, wait, false);
            }
        }
    }
}
