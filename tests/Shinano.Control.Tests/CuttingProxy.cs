using System.Net;
using System.Net.Sockets;

namespace Shinano.Control.Tests;

/// <summary>A way to a TCP port whose first connection is cut after a number of bytes in one direction; the others go through.</summary>
internal sealed class CuttingProxy : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly int _port;
    private readonly long _mostThere;
    private readonly long _mostBack;
    private long _there;
    private long _back;
    private int _connections;

    /// <param name="port">Where it leads.</param>
    /// <param name="mostThere">Bytes after which the first connection is cut on the way there.</param>
    /// <param name="mostBack">The same on the way back.</param>
    public CuttingProxy(int port, long mostThere = long.MaxValue, long mostBack = long.MaxValue)
    {
        (_port, _mostThere, _mostBack) = (port, mostThere, mostBack);
        _listener.Start();
        _ = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Bytes of the first connection on the way there.</summary>
    public long There => Volatile.Read(ref _there);

    /// <summary>Bytes of the first connection on the way back.</summary>
    public long Back => Volatile.Read(ref _back);

    public void Dispose() => _listener.Dispose();

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                _ = ServeAsync(await _listener.AcceptSocketAsync(), Interlocked.Increment(ref _connections) == 1);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // Disposed.
        }
    }

    private async Task ServeAsync(Socket from, bool isFirst)
    {
        using Socket near = from;
        using Socket far = new(SocketType.Stream, ProtocolType.Tcp);
        await far.ConnectAsync(IPAddress.Loopback, _port);
        await Task.WhenAny(
            CopyAsync(near, far, isFirst ? _mostThere : long.MaxValue, count => _there += isFirst ? count : 0),
            CopyAsync(far, near, isFirst ? _mostBack : long.MaxValue, count => _back += isFirst ? count : 0));
    }

    private static async Task CopyAsync(Socket from, Socket to, long most, Action<int> count)
    {
        byte[] buffer = new byte[1 << 16];
        try
        {
            while (most > 0 && await from.ReceiveAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, most))) is var length and > 0)
            {
                await to.SendAsync(buffer.AsMemory(0, length));
                most -= length;
                count(length);
            }
        }
        catch (SocketException)
        {
            // Cut by the others.
        }
    }
}
