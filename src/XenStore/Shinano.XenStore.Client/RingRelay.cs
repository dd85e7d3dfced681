using System.Globalization;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Client;

/// <summary>
/// Carries the messages of one domain's ring to a server that may go away and come back, so that the guest sees one connection: each
/// request gets exactly one answer. Pure: bytes in, bytes out; no sockets, no clock. Not thread-safe.
/// </summary>
/// <remarks>
/// A request is kept until its answer is here. After a new connection, <see cref="Connected"/> gives the hello, and what is kept is sent
/// again, in order. Requests may so be carried out twice; the server knows how many (<see cref="RelayHello.Replays"/>), and a transaction
/// it has forgotten ends in EAGAIN, which guests answer by running it again.
/// </remarks>
public sealed class RingRelay(DomainId domain, RelayToken token)
{
    /// <summary>Requests kept at most; Xen's quota of outstanding requests (20) makes the server take no more than that at once.</summary>
    public const int MaximumUnanswered = 32;

    private readonly LinkedList<Pending> unanswered = [];
    private readonly HashSet<uint> transactions = [];
    private PacketReader fromGuest = new();
    private PacketReader fromServer = new();
    private LinkedListNode<Pending>? firstUnsent;
    private bool isConnected;

    /// <summary>False while so many requests wait for answers that the ring must not be read.</summary>
    public bool HasRoom => unanswered.Count < MaximumUnanswered;

    /// <summary>True when the guest announced a message longer than allowed: set the ring's error field to 3 and stop.</summary>
    public bool GuestBrokeProtocol { get; private set; }

    /// <summary>Requests without an answer.</summary>
    public int Unanswered => unanswered.Count;

    /// <summary>What a successor must know, when there is no request without an answer.</summary>
    public RingRelayState Describe() => new([.. transactions], fromGuest.Held());

    /// <summary>Goes on where another relay was; before anything else is done.</summary>
    public void Resume(RingRelayState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        transactions.UnionWith(state.OpenTransactions.Take(RelayHello.MaximumTransactions));
        TakeFromGuest(state.PartialRequest.Span);
    }

    /// <summary>Takes bytes that the guest put on its ring.</summary>
    /// <returns>
    /// How many were taken: fewer than given when <see cref="HasRoom"/> became false. All, unread, after
    /// <see cref="GuestBrokeProtocol"/>.
    /// </returns>
    public int TakeFromGuest(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> rest = bytes;
        while (HasRoom && !rest.IsEmpty && !GuestBrokeProtocol)
        {
            switch (fromGuest.Read(ref rest, out XenStorePacket? request))
            {
                case PacketReadStatus.Packet:
                    Keep(new Pending(request!, IsForGuest: true));
                    break;
                case PacketReadStatus.Malformed:
                    GuestBrokeProtocol = true;
                    break;
                default:
                    break;
            }
        }

        return GuestBrokeProtocol ? bytes.Length : bytes.Length - rest.Length;
    }

    /// <summary>
    /// The guest asked for a new start of its ring (connection field 1, docs/misc/xenstore-ring.txt): forget all requests, and have the
    /// server forget watches and transactions. What was not delivered yet must be dropped by the caller.
    /// </summary>
    public void Reset()
    {
        unanswered.Clear();
        firstUnsent = null;
        transactions.Clear();
        fromGuest = new PacketReader();
        GuestBrokeProtocol = false;

        // Answers to what was forgotten may be on their way: only a new connection tells them from the new ones.
        isConnected = false;
        Keep(new Pending(
            XenStorePacket.Create(XenStoreOperation.ResetWatches, 0, 0, PayloadWriter.Strings("")), IsForGuest: false));
    }

    /// <summary>There is a new connection. Its first bytes are the returned hello's; then comes what <see cref="TakeForServer"/> gives.</summary>
    public RelayHello Connected()
    {
        uint sent = 0;
        for (LinkedListNode<Pending>? node = unanswered.First; node is not null && node != firstUnsent; node = node.Next)
        {
            sent++;
        }

        firstUnsent = unanswered.First;
        fromServer = new PacketReader();
        isConnected = true;
        return new RelayHello(domain, token, sent, [.. transactions]);
    }

    /// <summary>The connection is lost; requests are kept for the next one.</summary>
    public void Disconnected() => isConnected = false;

    /// <summary>The next request to send, as it travels; null when there is none or no connection.</summary>
    public ReadOnlyMemory<byte>? TakeForServer()
    {
        if (!isConnected || firstUnsent is null)
        {
            return null;
        }

        ReadOnlyMemory<byte> message = firstUnsent.Value.Request.Message;
        firstUnsent = firstUnsent.Next;
        return message;
    }

    /// <summary>Takes bytes of the server.</summary>
    /// <param name="bytes">As received.</param>
    /// <param name="toGuest">Whole messages for the guest's ring, in order, are added here.</param>
    /// <returns>False when they make no sense: drop the connection and make a new one.</returns>
    public bool TakeFromServer(ReadOnlySpan<byte> bytes, ICollection<XenStorePacket> toGuest)
    {
        ArgumentNullException.ThrowIfNull(toGuest);
        while (true)
        {
            PacketReadStatus status = fromServer.Read(ref bytes, out XenStorePacket? packet);
            if (status != PacketReadStatus.Packet)
            {
                return status == PacketReadStatus.NeedMore;
            }

            if (packet!.Operation == XenStoreOperation.WatchEvent)
            {
                // Until the server has forgotten the old watches, their events are none of the guest's.
                if (unanswered.First?.Value.IsForGuest ?? true)
                {
                    toGuest.Add(packet);
                }

                continue;
            }

            // The server answers in the order of the requests.
            if (unanswered.First is not { } first
                || first == firstUnsent
                || first.Value.Request.Header.RequestId != packet.Header.RequestId)
            {
                return false;
            }

            unanswered.RemoveFirst();
            NoteTransaction(first.Value.Request, packet);
            if (first.Value.IsForGuest)
            {
                toGuest.Add(packet);
            }
        }
    }

    private void Keep(Pending pending)
    {
        LinkedListNode<Pending> node = unanswered.AddLast(pending);
        firstUnsent ??= node;
    }

    private void NoteTransaction(XenStorePacket request, XenStorePacket reply)
    {
        bool isDone = reply.Operation == request.Operation;
        switch (request.Operation)
        {
            case XenStoreOperation.TransactionStart when isDone:
                new PayloadReader(reply.Payload).TryReadString(out string id);
                if (uint.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
                    && transactions.Count < RelayHello.MaximumTransactions)
                {
                    transactions.Add(number);
                }

                break;
            case XenStoreOperation.TransactionEnd when isDone || !reply.Payload.SequenceEqual("EINVAL\0"u8):
                // All but a misspelt end have ended it, EAGAIN too.
                transactions.Remove(request.Header.TransactionId);
                break;
            case XenStoreOperation.ResetWatches when isDone:
                transactions.Clear();
                break;
            default:
                break;
        }
    }

    private sealed record Pending(XenStorePacket Request, bool IsForGuest);
}
