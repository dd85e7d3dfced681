using System.Net.Sockets;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Sessions;

namespace Shinano.XenStore.Server.Hosting;

/// <summary>
/// What waits to be sent to one connection. Bounded: replies hold up the reading of further requests, and watch events above the
/// limit are dropped (a domain) or end the connection (domain 0).
/// </summary>
internal sealed class OutgoingQueue(
    Socket socket, int maximumReplies, long maximumBytes, bool mayDropEvents, CancellationToken cancellation) : ISessionSink
{
    private const int BatchSize = 64 * 1024;

    private readonly Lock gate = new();
    private readonly Queue<(ReadOnlyMemory<byte> Message, bool IsReply)> pending = new();
    private readonly HashSet<(string Path, string Token)> pendingEvents = [];
    private long pendingBytes;
    private int pendingReplies;
    private bool isFlushing;
    private bool isBroken;
    private TaskCompletionSource? room;

    /// <inheritdoc/>
    public void Reply(XenStorePacket reply)
    {
        lock (gate)
        {
            pendingReplies++;
            Enqueue(reply.Message, isReply: true);
        }
    }

    /// <inheritdoc/>
    public void WatchFired(string path, string token)
    {
        byte[] payload = PayloadWriter.Strings(path, token);
        if (payload.Length > XenStoreLimits.MaximumPayload)
        {
            return; // Xen 4.17: send_event: "Don't try to send over-long events".
        }

        lock (gate)
        {
            // Xen 4.17: send_event drops an event that waits already, except special ones.
            bool isKnown = !XenStorePath.IsSpecial(path) && !pendingEvents.Add((path, token));
            if (isKnown || isBroken)
            {
                return;
            }

            if (pendingBytes > maximumBytes)
            {
                isBroken = !mayDropEvents;
                if (isBroken)
                {
                    socket.Dispose();
                }

                return;
            }

            Enqueue(XenStorePacket.Create(XenStoreOperation.WatchEvent, 0, 0, payload).Message, isReply: false);
        }

        ThreadPool.UnsafeQueueUserWorkItem(static queue => _ = queue.FlushAsync(), this, preferLocal: false);
    }

    /// <summary>Waits until the client has taken enough of its replies to be asked for the next request.</summary>
    internal async Task WaitForRoomAsync()
    {
        Task free = RoomAsync();
        if (!free.IsCompleted)
        {
            await FlushAsync().ConfigureAwait(false);
            await free.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Sends what waits, unless that is happening already. Never throws: a broken connection is seen by its reader.</summary>
    internal async Task FlushAsync()
    {
        byte[]? batch;
        while ((batch = TakeBatch(out int replies)) is not null)
        {
            bool sent = await TrySendAsync(batch).ConfigureAwait(false);
            lock (gate)
            {
                isFlushing = false;
                isBroken |= !sent;
                pendingReplies -= replies;
                if (pendingReplies < maximumReplies || isBroken)
                {
                    room?.SetResult();
                    room = null;
                }
            }
        }
    }

    private Task RoomAsync()
    {
        lock (gate)
        {
            if (pendingReplies < maximumReplies || isBroken)
            {
                return Task.CompletedTask;
            }

            room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return room.Task;
        }
    }

    private void Enqueue(ReadOnlyMemory<byte> message, bool isReply)
    {
        pending.Enqueue((message, isReply));
        pendingBytes += message.Length;
    }

    private byte[]? TakeBatch(out int replies)
    {
        lock (gate)
        {
            replies = 0;
            if (isFlushing || isBroken || pending.Count == 0)
            {
                return null;
            }

            isFlushing = true;
            var batch = new MemoryStream();
            while (batch.Length < BatchSize && pending.TryDequeue(out (ReadOnlyMemory<byte> Message, bool IsReply) next))
            {
                batch.Write(next.Message.Span);
                pendingBytes -= next.Message.Length;
                replies += next.IsReply ? 1 : 0;
            }

            // An event that left the queue may be wanted again.
            pendingEvents.Clear();
            return batch.ToArray();
        }
    }

    private async Task<bool> TrySendAsync(ReadOnlyMemory<byte> batch)
    {
        try
        {
            while (!batch.IsEmpty)
            {
                batch = batch[await socket.SendAsync(batch, cancellation).ConfigureAwait(false)..];
            }

            return true;
        }
        catch (Exception failure) when (failure is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            return false;
        }
    }
}
