using System.Net.Sockets;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Requests;
using Shinano.XenStore.Server.Sessions;

namespace Shinano.XenStore.Server.Hosting;

/// <summary>Serves a connection of the relay socket: the ring of one domain, or its back ends, handed in by its domain process.</summary>
internal static class RelayEndpoint
{
    internal static async Task ServeAsync(Socket socket, RequestDispatcher dispatcher, CancellationToken cancellation)
    {
        byte[] buffer = new byte[RelayHello.FixedSize + (4 * RelayHello.MaximumTransactions) + XenStoreLimits.MaximumMessage];
        int filled = 0;
        RelayHello? hello;
        BackEndHello? backEnd;
        PacketReadStatus status;
        int taken;
        while (true)
        {
            ReadOnlySpan<byte> input = buffer.AsSpan(0, filled);
            status = RelayHello.TryRead(ref input, out hello);
            taken = filled - input.Length;
            if (status == PacketReadStatus.Malformed && BackEndHello.TryRead(ref input, out backEnd) is var other and not PacketReadStatus.Malformed)
            {
                status = other;
                taken = filled - input.Length;
                if (backEnd is not null)
                {
                    await BackEndEndpoint.ServeAsync(socket, dispatcher, backEnd, buffer.AsMemory(taken, filled - taken), cancellation).ConfigureAwait(false);
                    return;
                }
            }

            if (status != PacketReadStatus.NeedMore)
            {
                break;
            }

            int count = await socket.ReceiveAsync(buffer.AsMemory(filled), cancellation).ConfigureAwait(false);
            if (count == 0)
            {
                return;
            }

            filled += count;
        }

        if (status == PacketReadStatus.Malformed)
        {
            await AnswerAsync(socket, RelayHelloAnswer.Malformed, cancellation).ConfigureAwait(false);
            return;
        }

        await ServeAsync(socket, dispatcher, hello!, buffer.AsMemory(taken, filled - taken), cancellation).ConfigureAwait(false);
    }

    private static async Task ServeAsync(
        Socket socket, RequestDispatcher dispatcher, RelayHello hello, ReadOnlyMemory<byte> rest, CancellationToken cancellation)
    {
        StoreEngine engine = dispatcher.Engine;
        StoreSession? session = null;
        OutgoingQueue? outgoing = null;
        RelayHelloAnswer verdict;
        lock (engine.Gate)
        {
            DomainRecord? domain = engine.State.FindDomain(hello.Domain);
            verdict = Judge(domain, hello.Token);
            if (verdict == RelayHelloAnswer.Accepted)
            {
                session = domain!.Session;
                outgoing = new OutgoingQueue(
                    socket, (int)Math.Max(1, engine.State.Quotas.Outstanding), engine.State.Quotas.Memory, mayDropEvents: true, cancellation);
            }
        }

        await AnswerAsync(socket, verdict, cancellation).ConfigureAwait(false);
        if (session is null)
        {
            return;
        }

        lock (engine.Gate)
        {
            if (engine.State.FindDomain(hello.Domain)?.Session != session)
            {
                return; // Released in the meantime.
            }

            Resume(session, outgoing!, hello);
        }

        try
        {
            await RequestPump.RunAsync(socket, session, outgoing!, dispatcher, rest, cancellation).ConfigureAwait(false);
        }
        finally
        {
            lock (engine.Gate)
            {
                // Events without a connection need not be kept: all watches fire when there is one again.
                if (ReferenceEquals(session.Sink, outgoing))
                {
                    session.Sink = null;
                }
            }
        }
    }

    /// <summary>Whether a token lets its sender speak for a domain.</summary>
    internal static RelayHelloAnswer Judge(DomainRecord? domain, RelayToken shown) =>
        domain?.Token is not { } token ? RelayHelloAnswer.NotIntroduced
        : token.Matches(shown) ? RelayHelloAnswer.Accepted
        : RelayHelloAnswer.Refused;

    // The domain goes on where it was. A transaction it believes to have and we do not know is doomed: it may go on in it, and its
    // commit makes it begin again. Events may have been lost with the old connection, so each watch fires (docs/misc/xenstore.txt:
    // "Watches may be triggered spuriously").
    private static void Resume(StoreSession session, OutgoingQueue outgoing, RelayHello hello)
    {
        session.Sink = outgoing;
        session.ReplaysLeft = hello.Replays;
        foreach (uint forgotten in session.Transactions.Keys.Except(hello.OpenTransactions).ToArray())
        {
            session.Transactions.Remove(forgotten);
        }

        foreach (uint id in hello.OpenTransactions.Where(id => id != 0))
        {
            session.Transactions.TryAdd(id, new StoreTransaction(isDoomed: true));
        }

        foreach (Watch watch in session.Watches)
        {
            WatchRequests.FireInitially(watch);
        }
    }

    internal static async Task AnswerAsync(Socket socket, RelayHelloAnswer answer, CancellationToken cancellation) =>
        await socket.SendAsync(RelayHelloAnswerCodec.ToBytes(answer), cancellation).ConfigureAwait(false);
}
