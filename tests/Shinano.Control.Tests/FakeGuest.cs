using System.Net.Sockets;
using System.Text;

namespace Shinano.Control.Tests;

/// <summary>Types at the console of the double.</summary>
internal static class FakeGuest
{
    public static async Task TypeAsync(string consoleSocket, string line, CancellationToken cancellationToken)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(consoleSocket), cancellationToken);
        await socket.SendAsync(Encoding.ASCII.GetBytes(line + "\n"), cancellationToken);
        socket.Shutdown(SocketShutdown.Send);

        // Until the console closes, or has nothing for a viewer that types no more: what was typed has been read then.
        byte[] buffer = new byte[256];
        await socket.ReceiveAsync(buffer, cancellationToken);
    }
}
