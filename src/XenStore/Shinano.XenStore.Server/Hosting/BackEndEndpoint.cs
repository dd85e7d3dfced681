using System.Net.Sockets;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Requests;
using Shinano.XenStore.Server.Sessions;

namespace Shinano.XenStore.Server.Hosting;

/// <summary>Serves a connection of a domain process's back ends (<see cref="BackEndHello"/>). Watches end with it.</summary>
internal static class BackEndEndpoint
{
    private const int MaximumReplies = 32;

    internal static async Task ServeAsync(
        Socket socket, RequestDispatcher dispatcher, BackEndHello hello, ReadOnlyMemory<byte> rest, CancellationToken cancellation)
    {
        StoreEngine engine = dispatcher.Engine;
        StoreSession? session = null;
        DomainRecord? domain;
        OutgoingQueue? outgoing = null;
        RelayHelloAnswer verdict;
        lock (engine.Gate)
        {
            domain = engine.State.FindDomain(hello.Domain);
            verdict = RelayEndpoint.Judge(domain, hello.Token);
            if (verdict == RelayHelloAnswer.Accepted && domain!.BackEndConnections >= BackEndScope.MaximumConnections)
            {
                verdict = RelayHelloAnswer.Refused;
            }

            if (verdict == RelayHelloAnswer.Accepted)
            {
                domain!.BackEndConnections++;
                outgoing = new OutgoingQueue(socket, MaximumReplies, engine.State.Quotas.Memory, mayDropEvents: false, cancellation);
                session = new StoreSession(DomainId.Zero, PeerCredentials.Of(socket).ProcessId)
                {
                    Sink = outgoing,
                    Scope = new BackEndScope(hello.Domain, domain),
                };
            }
        }

        try
        {
            await RelayEndpoint.AnswerAsync(socket, verdict, cancellation).ConfigureAwait(false);
            if (session is not null)
            {
                await RequestPump.RunAsync(socket, session, outgoing!, dispatcher, rest, cancellation).ConfigureAwait(false);
            }
        }
        finally
        {
            if (session is not null)
            {
                lock (engine.Gate)
                {
                    domain!.BackEndConnections--;
                    engine.Close(session);
                }
            }
        }
    }
}
