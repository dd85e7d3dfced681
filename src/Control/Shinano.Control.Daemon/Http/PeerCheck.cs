using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Http;

/// <summary>Serves only peers of our own user, and root. The socket's mode says the same; this holds while it is made.</summary>
internal static class PeerCheck
{
    public static async Task InvokeAsync(ConnectionContext context, ConnectionDelegate next)
    {
        Socket? socket = context.Features.Get<IConnectionSocketFeature>()?.Socket;
        if (socket is null || !PeerCredentials.Of(socket).IsTrusted)
        {
            context.Abort(new ConnectionAbortedException("the peer is another user"));
            return;
        }

        await next(context);
    }
}
