using System.Buffers.Binary;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Http;

/// <summary>Serves only peers of our own user, and root (unix(7): SO_PEERCRED). The socket's mode says the same; this holds while it is made.</summary>
internal static class PeerCheck
{
    private const int SolSocket = 1;
    private const int SoPeerCred = 17;

    public static async Task InvokeAsync(ConnectionContext context, ConnectionDelegate next)
    {
        Socket? socket = context.Features.Get<IConnectionSocketFeature>()?.Socket;
        if (socket is null || !IsAllowed(socket))
        {
            context.Abort(new ConnectionAbortedException("the peer is another user"));
            return;
        }

        await next(context);
    }

    private static bool IsAllowed(Socket socket)
    {
        // struct ucred { pid_t pid; uid_t uid; gid_t gid; }
        byte[] credentials = new byte[12];
        int length = socket.GetRawSocketOption(SolSocket, SoPeerCred, credentials);
        uint uid = BinaryPrimitives.ReadUInt32LittleEndian(credentials.AsSpan(4));
        return length == credentials.Length && (uid == 0 || uid == ProcessIdentity.EffectiveUserId);
    }
}
