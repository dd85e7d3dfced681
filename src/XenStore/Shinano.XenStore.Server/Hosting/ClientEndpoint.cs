using System.Net.Sockets;
using Shinano.XenAbi;
using Shinano.XenStore.Server.Requests;
using Shinano.XenStore.Server.Sessions;

namespace Shinano.XenStore.Server.Hosting;

/// <summary>Serves a connection of the main socket: a tool of domain 0.</summary>
internal static class ClientEndpoint
{
    private const int MaximumReplies = 1024;
    private const long MaximumBytes = 64 * 1024 * 1024;

    internal static async Task ServeAsync(Socket socket, RequestDispatcher dispatcher, CancellationToken cancellation)
    {
        var outgoing = new OutgoingQueue(socket, MaximumReplies, MaximumBytes, mayDropEvents: false, cancellation);
        var session = new StoreSession(DomainId.Zero, PeerCredentials.Of(socket).ProcessId) { Sink = outgoing };
        try
        {
            await RequestPump.RunAsync(socket, session, outgoing, dispatcher, ReadOnlyMemory<byte>.Empty, cancellation)
                .ConfigureAwait(false);
        }
        finally
        {
            lock (dispatcher.Engine.Gate)
            {
                dispatcher.Engine.Close(session);
            }
        }
    }
}
