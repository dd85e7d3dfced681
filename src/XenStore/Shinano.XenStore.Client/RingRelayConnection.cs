using System.Net.Sockets;
using Shinano.Linux;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Client;

/// <summary>
/// Connects a domain's ring with the relay socket of xend, and does so again whenever xend goes away and comes back. The guest notices
/// only that answers take longer.
/// </summary>
public sealed class RingRelayConnection : IAsyncDisposable
{
    private readonly Lock gate = new();
    private readonly RingRelay relay;
    private readonly string socketPath;
    private readonly IRingRelayGuest guest;
    private readonly CancellationTokenSource stop = new();
    private readonly SemaphoreSlim work = new(0, 1);
    private readonly Task running;
    private CancellationTokenSource? delivering;
    private Task connected = Task.CompletedTask;
    private bool roomIsAwaited;
    private ulong epoch;
    private bool isDelivering;
    private TaskCompletionSource? quiet;

    /// <summary>Starts to connect; returns at once.</summary>
    /// <param name="domain">Whose ring it is.</param>
    /// <param name="token">What xend gave this process to show.</param>
    /// <param name="socketPath"><see cref="ShinanoPaths.XenStoreRelaySocket"/> of the xend that introduced the domain.</param>
    /// <param name="guest">Owns the ring page.</param>
    /// <param name="state">Where an earlier relay of the ring was; null for a new ring.</param>
    public RingRelayConnection(DomainId domain, RelayToken token, string socketPath, IRingRelayGuest guest, RingRelayState? state = null)
    {
        ShinanoPaths.CheckSocketPath(socketPath);
        this.socketPath = socketPath;
        this.guest = guest;
        relay = new RingRelay(domain, token);
        relay.Resume(state ?? RingRelayState.New);
        running = Task.Run(RunAsync);
    }

    /// <summary>True when the guest broke the protocol; the ring's error field should say so.</summary>
    public bool GuestBrokeProtocol
    {
        get
        {
            lock (gate)
            {
                return relay.GuestBrokeProtocol;
            }
        }
    }

    /// <summary>Takes bytes from the guest's ring; whole messages are sent when there is a connection. Thread-safe; never blocks.</summary>
    /// <returns>
    /// How many were taken. When fewer than given, offer the rest again after <see cref="IRingRelayGuest.RoomForRequests"/>.
    /// </returns>
    public int Submit(ReadOnlySpan<byte> bytes)
    {
        int taken;
        lock (gate)
        {
            taken = relay.TakeFromGuest(bytes);
            roomIsAwaited |= taken < bytes.Length;
        }

        Wake();
        return taken;
    }

    /// <summary>
    /// Waits until every request has its answer and every answer was delivered; the caller submits nothing meanwhile. Watches may fire afterwards: whoever goes
    /// on with the ring has them fire anew.
    /// </summary>
    public async Task<RingRelayState> QuiesceAsync(CancellationToken cancellation)
    {
        while (true)
        {
            Task wait;
            lock (gate)
            {
                if (relay.Unanswered == 0 && !isDelivering)
                {
                    return relay.Describe();
                }

                quiet ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                wait = quiet.Task;
            }

            await wait.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// The guest asked for a new start of its ring: all requests are forgotten, watches and transactions end. A delivery that is under
    /// way is cancelled, and none of the old messages is delivered after the task completes. Then empty the ring and set its connection
    /// field to 0.
    /// </summary>
    public async Task ResetAsync()
    {
        CancellationTokenSource? old;
        Task ending;
        lock (gate)
        {
            relay.Reset();
            epoch++;
            old = delivering;
            delivering = null;
            ending = connected;
        }

        try
        {
            await (old?.CancelAsync() ?? Task.CompletedTask).ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            // That connection has ended by itself in this moment.
        }

        await ending.ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync().ConfigureAwait(false);
        await running.ConfigureAwait(false);
        stop.Dispose();
    }

    private void Wake()
    {
        lock (gate)
        {
            if (work.CurrentCount == 0)
            {
                work.Release();
            }
        }
    }

    private async Task RunAsync()
    {
        ReconnectPause pause = new();
        while (!stop.IsCancellationRequested)
        {
            var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            using var deliveries = CancellationTokenSource.CreateLinkedTokenSource(stop.Token);
            lock (gate)
            {
                connected = ended.Task;
                delivering = deliveries;
            }

            try
            {
                if (await RunOnceAsync(deliveries.Token).ConfigureAwait(false))
                {
                    pause.Reset();
                }
            }
            catch (Exception failure) when (failure is SocketException or ObjectDisposedException or OperationCanceledException)
            {
                // xend is gone or not there yet, the ring was reset, or we stop.
            }

            lock (gate)
            {
                relay.Disconnected();
                delivering = null;
                EndDelivery();
            }

            ended.SetResult();

            await pause.WaitAsync(stop.Token).ConfigureAwait(false);
        }
    }

    // True if there was a connection that was accepted.
    private async Task<bool> RunOnceAsync(CancellationToken cancellation)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellation).ConfigureAwait(false);
        byte[] hello;
        ulong connectedIn;
        lock (gate)
        {
            connectedIn = epoch;
            hello = relay.Connected().ToBytes();
        }

        if (await RelaySocket.AskAsync(socket, hello, cancellation).ConfigureAwait(false) != RelayHelloAnswer.Accepted)
        {
            return false;
        }

        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task sending = SendRequestsAsync(socket, connectedIn, ended);
        try
        {
            await ReceiveAsync(socket, connectedIn, ended.Token, cancellation).ConfigureAwait(false);
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
            socket.Dispose();
            await sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        return true;
    }

    private async Task SendRequestsAsync(Socket socket, ulong connectedIn, CancellationTokenSource ended)
    {
        try
        {
            while (true)
            {
                ReadOnlyMemory<byte>? message;
                lock (gate)
                {
                    message = epoch == connectedIn ? relay.TakeForServer() : null;
                }

                if (message is null)
                {
                    await work.WaitAsync(ended.Token).ConfigureAwait(false);
                }
                else
                {
                    await RelaySocket.SendAllAsync(socket, message.Value, ended.Token).ConfigureAwait(false);
                }
            }
        }
        finally
        {
            // Whatever ends the one direction ends the other.
            await ended.CancelAsync().ConfigureAwait(false);
        }
    }

    private async Task ReceiveAsync(
        Socket socket, ulong connectedIn, CancellationToken connectionEnds, CancellationToken deliveriesEnd)
    {
        byte[] buffer = new byte[8 * 1024];
        var messages = new List<XenStorePacket>();
        while (true)
        {
            int count = await socket.ReceiveAsync(buffer, connectionEnds).ConfigureAwait(false);
            if (count == 0)
            {
                return;
            }

            bool isSound;
            bool tellRoom;
            messages.Clear();
            lock (gate)
            {
                if (epoch != connectedIn)
                {
                    return;
                }

                isSound = relay.TakeFromServer(buffer.AsSpan(0, count), messages);
                isDelivering = true;
                tellRoom = roomIsAwaited && relay.HasRoom;
                roomIsAwaited &= !tellRoom;
            }

            foreach (XenStorePacket message in messages)
            {
                // A connection that ends leaves a delivery to complete: half a message on the ring would put the guest out of step.
                await guest.DeliverAsync(message, deliveriesEnd).ConfigureAwait(false);
            }

            lock (gate)
            {
                EndDelivery();
            }

            if (tellRoom)
            {
                guest.RoomForRequests();
            }

            if (!isSound)
            {
                return;
            }
        }
    }

    // Under the gate.
    private void EndDelivery()
    {
        isDelivering = false;
        TaskCompletionSource? told = quiet;
        quiet = null;
        told?.SetResult();
    }
}
