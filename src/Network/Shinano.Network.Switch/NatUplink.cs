using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Shinano.Network.Frames;
using Shinano.Network.Link;
using Shinano.Network.Switching;

namespace Shinano.Network.Switch;

/// <summary>
/// A vnic's passt: frames behind a 4-byte big-endian length on a stream (the protocol of QEMU's stream netdev). passt ends with the connection. It takes
/// long TCP frames whole and looks at no TCP or UDP checksum, so nothing is cut or summed for it.
/// </summary>
internal sealed class NatUplink(MacAddress mac, IReadOnlyList<IPAddress> addresses) : PrivateUplink(mac, addresses)
{
    private const int QueueBytes = 2 << 20;
    private const int ReadBytes = 256 << 10;
    private const int LengthSize = 4;

    /// <summary>passt: ETH_MAX_MTU.</summary>
    private const int MaximumFrame = 65535;

    private static readonly FrameOffload Trusted = FrameOffload.None with { ChecksumValid = true };

    private readonly OutgoingFrames _outgoing = new(QueueBytes);
    private volatile bool _isConnected;

    public bool IsConnected => _isConnected;

    /// <summary>Connects to passt, which binds its socket a moment before it listens.</summary>
    /// <exception cref="SocketException">It does not listen.</exception>
    public static async Task<Socket> ConnectAsync(string path, CancellationToken cancellation)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                return await TryConnectAsync(path, cancellation).ConfigureAwait(false);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused && attempt < 50)
            {
                await Task.Delay(20, cancellation).ConfigureAwait(false);
            }
        }
    }

    private static async Task<Socket> TryConnectAsync(string path, CancellationToken cancellation)
    {
        Socket socket = LinkSockets.Create();
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override bool TrySend(ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        if (!_isConnected || frame.Length > MaximumFrame)
        {
            return false;
        }

        Span<byte> header = stackalloc byte[LengthSize];
        BinaryPrimitives.WriteInt32BigEndian(header, frame.Length);
        return _outgoing.TryAppend(header, frame);
    }

    /// <summary>Marks it connected before it is served, so that nothing is lost.</summary>
    public void Open()
    {
        _outgoing.Clear();
        _isConnected = true;
    }

    /// <summary>Serves a connection until it ends.</summary>
    /// <param name="socket">Disposed with it.</param>
    /// <param name="vnic">Gets what comes; passt waits while its queue is full.</param>
    /// <param name="cancellation">The vnic is removed.</param>
    public async Task ServeAsync(Socket socket, VnicPort vnic, CancellationToken cancellation)
    {
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task sending = SendAsync(socket, end.Token);
        try
        {
            await ReceiveAsync(socket, vnic, end.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // passt has ended, or the vnic.
        }
        finally
        {
            _isConnected = false;
            await end.CancelAsync().ConfigureAwait(false);
            socket.Dispose();
            await sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task SendAsync(Socket socket, CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                await socket.SendAllAsync(await _outgoing.TakeAsync(cancellation).ConfigureAwait(false), cancellation).ConfigureAwait(false);
            }
        }
        finally
        {
            socket.Dispose();
        }
    }

    private async Task ReceiveAsync(Socket socket, VnicPort vnic, CancellationToken cancellation)
    {
        byte[] buffer = new byte[ReadBytes];
        SegmentCoalescer coalescer = new();
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
                (int consumed, bool isFull, bool isMalformed) = DeliverSome(buffer.AsSpan(taken, filled - taken), vnic, coalescer);
                taken += consumed;
                if (isMalformed)
                {
                    return;
                }

                if (!isFull)
                {
                    break;
                }

                await vnic.WaitForRoomAsync(cancellation).ConfigureAwait(false);
            }

            buffer.AsSpan(taken, filled - taken).CopyTo(buffer);
            filled -= taken;
        }
    }

    private (int Consumed, bool IsFull, bool IsMalformed) DeliverSome(ReadOnlySpan<byte> bytes, VnicPort vnic, SegmentCoalescer coalescer)
    {
        int taken = 0;
        while (TryFrame(bytes[taken..], out ReadOnlySpan<byte> frame, out bool isMalformed))
        {
            int end = taken + LengthSize + frame.Length;
            if (!vnic.Counters.HasSent)
            {
                Refuse(frame);
            }

            FrameOffload offload = Trusted;
            if (coalescer.TryBegin(frame))
            {
                while (TryFrame(bytes[end..], out ReadOnlySpan<byte> next, out isMalformed) && coalescer.TryAppend(next))
                {
                    end += LengthSize + next.Length;
                }

                frame = coalescer.Finish(out offload);
            }

            if (!vnic.TryDeliver(frame, offload))
            {
                if (vnic.IsConnected)
                {
                    return (taken, true, false);
                }

                vnic.Counters.CountDropped();
            }

            taken = end;
            if (isMalformed)
            {
                return (taken, false, true);
            }
        }

        return (taken, false, bytes.Length - taken >= LengthSize && BinaryPrimitives.ReadUInt32BigEndian(bytes[taken..]) > MaximumFrame);
    }

    /// <summary>
    /// Refuses connections to a guest that has not said anything yet. passt waits for its answer, and of a client that gives up meanwhile it wants to know all the time: it keeps a CPU busy
    /// (passt of 2023). The guest gets the frame as well: should it be there after all, its answer makes the next attempt come through.
    /// </summary>
    private void Refuse(ReadOnlySpan<byte> frame)
    {
        Span<byte> answer = stackalloc byte[ConnectionRefusal.Size];
        if (ConnectionRefusal.TryAnswer(frame, answer))
        {
            TrySend(answer, Trusted);
        }
    }

    private static bool TryFrame(ReadOnlySpan<byte> bytes, out ReadOnlySpan<byte> frame, out bool isMalformed)
    {
        frame = default;
        isMalformed = false;
        if (bytes.Length < LengthSize)
        {
            return false;
        }

        uint length = BinaryPrimitives.ReadUInt32BigEndian(bytes);
        isMalformed = length > MaximumFrame;
        if (isMalformed || bytes.Length - LengthSize < length)
        {
            return false;
        }

        frame = bytes.Slice(LengthSize, (int)length);
        return true;
    }
}
