using System.Net.Sockets;

namespace Shinano.Network.Link;

/// <summary>
/// A domain process's connection to its vnic. When it is lost, because the switch has ended, it is made again with the same token until that works. Meanwhile
/// what is sent is lost, as on an unplugged cable.
/// </summary>
public sealed class SwitchLink : IAsyncDisposable
{
    private const int ReadBytes = 256 << 10;
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(2);

    private readonly string _path;
    private readonly byte[] _hello;
    private readonly ReadOnlyMemory<byte> _greeting;
    private readonly ILinkReceiver _receiver;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _sending = new(1, 1);
    private readonly Task _running;
    private Socket? _socket;

    /// <param name="path">The switch's socket for domain processes; empty for a cable that leads nowhere.</param>
    /// <param name="token">The vnic's.</param>
    /// <param name="receiver">Gets frames from now on.</param>
    /// <param name="greeting">Whole frames in <see cref="LinkFormat"/> that are sent first, each time that the connection is made.</param>
    /// <exception cref="FormatException">The token is none.</exception>
    public SwitchLink(string path, string token, ILinkReceiver receiver, ReadOnlyMemory<byte> greeting = default)
    {
        _path = path;
        _hello = LinkHello.Write(token);
        _receiver = receiver;
        _greeting = greeting;
        _running = Task.Run(RunAsync);
    }

    /// <summary>There is a switch.</summary>
    public bool IsConnected => Volatile.Read(ref _socket) is not null;

    /// <summary>Sends whole frames in <see cref="LinkFormat"/>; waits while the vnic's rate does not allow it. Any thread.</summary>
    /// <returns>False when they are lost.</returns>
    public async ValueTask<bool> TrySendAsync(ReadOnlyMemory<byte> frames, CancellationToken cancellation)
    {
        try
        {
            await _sending.WaitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return false;
        }

        Socket? socket = Volatile.Read(ref _socket);
        try
        {
            if (socket is null)
            {
                return false;
            }

            await socket.SendAllAsync(frames, cancellation).ConfigureAwait(false);
            return true;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // A part may have gone: the stream is of no use any more.
            socket!.Dispose();
            return false;
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Ends the connection; nothing is received any more when this completes.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        TimeSpan pause = FirstPause;
        while (_path.Length > 0 && !_stop.IsCancellationRequested)
        {
            try
            {
                using Socket socket = await ConnectAsync().ConfigureAwait(false);
                pause = FirstPause;
                if (!_greeting.IsEmpty)
                {
                    await socket.SendAllAsync(_greeting, _stop.Token).ConfigureAwait(false);
                }

                Volatile.Write(ref _socket, socket);
                await ReceiveAsync(socket).ConfigureAwait(false);
            }
            catch (Exception e) when (e is SocketException or IOException or OperationCanceledException or ObjectDisposedException)
            {
                // Again.
            }

            Volatile.Write(ref _socket, null);
            await Task.Delay(pause, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            pause = pause * 2 > LongestPause ? LongestPause : pause * 2;
        }
    }

    private async Task<Socket> ConnectAsync()
    {
        Socket socket = LinkSockets.Create();
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(_path), _stop.Token).ConfigureAwait(false);
            await socket.SendAllAsync(_hello, _stop.Token).ConfigureAwait(false);
            byte[] answer = new byte[LinkHello.AnswerSize];
            return await socket.ReceiveAllAsync(answer, _stop.Token).ConfigureAwait(false) && answer.AsSpan().SequenceEqual(LinkHello.Magic)
                ? socket
                : throw new IOException("the switch does not know the vnic");
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async Task ReceiveAsync(Socket socket)
    {
        byte[] buffer = new byte[ReadBytes];
        int filled = 0;
        while (true)
        {
            int count = await socket.ReceiveAsync(buffer.AsMemory(filled), SocketFlags.None, _stop.Token).ConfigureAwait(false);
            if (count == 0)
            {
                return;
            }

            filled += count;
            int taken = await _receiver.TakeAsync(buffer.AsMemory(0, filled), _stop.Token).ConfigureAwait(false);
            if (taken < 0)
            {
                return;
            }

            buffer.AsSpan(taken, filled - taken).CopyTo(buffer);
            filled -= taken;
        }
    }
}
