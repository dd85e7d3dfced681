using System.Net.Sockets;

namespace Shinano.Network.Link;

/// <summary>What links need of sockets.</summary>
public static class LinkSockets
{
    /// <summary>A stream socket of unix, with room for some frames in the kernel.</summary>
    public static Socket Create() => new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
    {
        SendBufferSize = 1 << 20,
        ReceiveBufferSize = 1 << 20,
    };

    /// <summary>Sends all of it.</summary>
    public static async ValueTask SendAllAsync(this Socket socket, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(socket);
        while (!bytes.IsEmpty)
        {
            bytes = bytes[await socket.SendAsync(bytes, SocketFlags.None, cancellation).ConfigureAwait(false)..];
        }
    }

    /// <summary>Receives as much as there is room for.</summary>
    /// <returns>False when the peer closed before.</returns>
    public static async ValueTask<bool> ReceiveAllAsync(this Socket socket, Memory<byte> bytes, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(socket);
        while (!bytes.IsEmpty)
        {
            int count = await socket.ReceiveAsync(bytes, SocketFlags.None, cancellation).ConfigureAwait(false);
            if (count == 0)
            {
                return false;
            }

            bytes = bytes[count..];
        }

        return true;
    }
}
