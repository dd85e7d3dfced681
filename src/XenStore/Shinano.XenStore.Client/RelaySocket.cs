using System.Net.Sockets;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Client;

/// <summary>What both kinds of connections to xend's relay socket do with it.</summary>
internal static class RelaySocket
{
    /// <summary>Sends a hello and reads the answer.</summary>
    /// <returns>Null when the connection ended before it was whole, or what came is none.</returns>
    /// <exception cref="SocketException">The connection is broken.</exception>
    public static async Task<RelayHelloAnswer?> AskAsync(Socket socket, ReadOnlyMemory<byte> hello, CancellationToken cancellation)
    {
        await SendAllAsync(socket, hello, cancellation).ConfigureAwait(false);
        byte[] answer = new byte[RelayHelloAnswerCodec.Size];
        for (int filled = 0; filled < answer.Length;)
        {
            int count = await socket.ReceiveAsync(answer.AsMemory(filled), cancellation).ConfigureAwait(false);
            if (count == 0)
            {
                return null;
            }

            filled += count;
        }

        return RelayHelloAnswerCodec.TryRead(answer, out RelayHelloAnswer verdict) ? verdict : null;
    }

    /// <summary>Sends all of some bytes.</summary>
    public static async Task SendAllAsync(Socket socket, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[await socket.SendAsync(bytes, cancellation).ConfigureAwait(false)..];
        }
    }
}
