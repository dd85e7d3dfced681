using System.Net.Sockets;
using Shinano.Network.Control;
using Shinano.Network.Link;
using StreamJsonRpc;

namespace Shinano.Network.Switch;

/// <summary>
/// The switch of one set of directories: listens for xend and for domain processes. Ends by itself when there are no vnics and xend is gone, after a
/// moment.
/// </summary>
internal sealed class SwitchServer : IAsyncDisposable
{
    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(10);

    /// <summary>A peer says hello at once, or is none.</summary>
    private static readonly TimeSpan HelloTime = TimeSpan.FromSeconds(5);

    private readonly VnicTable _vnics = new(TimeProvider.System);
    private readonly Socket _control;
    private readonly Socket _links;
    private readonly SwitchPaths _paths;
    private readonly Timer _idle;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _lock = new();
    private readonly List<(JsonRpc Connection, ISwitchEvents Events)> _clients = [];

    /// <exception cref="SocketException">A socket cannot be bound.</exception>
    public SwitchServer(SwitchPaths paths)
    {
        _paths = paths;
        _idle = new Timer(_ => EndIfIdle());
        _control = Listen(paths.Control);
        _links = Listen(paths.Links);
        _vnics.NatLost += name => Tell(events => events.NatLost(name));
        _vnics.CountChanged += WatchIdle;
        WatchIdle();
        _ = AcceptAsync(_control, ServeControlAsync);
        _ = AcceptAsync(_links, ServeLinkAsync);
    }

    /// <summary>Completes when the switch is not needed any more.</summary>
    public Task Ended => _ended.Task;

    public void Stop() => _ended.TrySetResult();

    public async ValueTask DisposeAsync()
    {
        _control.Dispose();
        _links.Dispose();
        File.Delete(_paths.Control);
        File.Delete(_paths.Links);
        await _vnics.DisposeAsync().ConfigureAwait(false);
        await _idle.DisposeAsync().ConfigureAwait(false);
    }

    private static Socket Listen(string path)
    {
        File.Delete(path);
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(path));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        socket.Listen(64);
        return socket;
    }

    private static async Task AcceptAsync(Socket listener, Func<Socket, Task> serve)
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await listener.AcceptAsync().ConfigureAwait(false);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }

            _ = Task.Run(async () =>
            {
                try
                {
                    await serve(socket).ConfigureAwait(false);
                }
                catch (Exception e)
                {
                    // The boundary of a connection: the others go on.
                    await Console.Error.WriteLineAsync($"a connection ended: {e}").ConfigureAwait(false);
                    socket.Dispose();
                }
            });
        }
    }

    private async Task ServeControlAsync(Socket socket)
    {
        (JsonRpc Connection, ISwitchEvents Events) client = SwitchChannel.Serve(new NetworkStream(socket, ownsSocket: true), _vnics);
        lock (_lock)
        {
            _clients.Add(client);
        }

        WatchIdle();
        await client.Connection.Completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lock (_lock)
        {
            _clients.Remove(client);
        }

        WatchIdle();
    }

    private async Task ServeLinkAsync(Socket socket)
    {
        byte[] hello = new byte[LinkHello.Size];
        using (CancellationTokenSource limit = new(HelloTime))
        {
            bool hasCome;
            try
            {
                hasCome = await socket.ReceiveAllAsync(hello, limit.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException)
            {
                hasCome = false;
            }

            if (!hasCome || LinkHello.Read(hello) is not { } token || _vnics.FindByToken(token) is not { } vnic)
            {
                socket.Dispose();
                return;
            }

            await socket.SendAllAsync(LinkHello.Magic.ToArray(), limit.Token).ConfigureAwait(false);
            await vnic.ServeAsync(socket).ConfigureAwait(false);
        }
    }

    private void Tell(Action<ISwitchEvents> tell)
    {
        (JsonRpc Connection, ISwitchEvents Events)[] clients;
        lock (_lock)
        {
            clients = [.. _clients];
        }

        foreach ((JsonRpc connection, ISwitchEvents events) in clients)
        {
            try
            {
                tell(events);
            }
            catch (ObjectDisposedException)
            {
                // It went meanwhile.
            }
        }
    }

    private bool IsIdle
    {
        get
        {
            lock (_lock)
            {
                return _clients.Count == 0 && _vnics.Count == 0;
            }
        }
    }

    private void WatchIdle() => _idle.Change(IsIdle ? IdleTime : Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

    private void EndIfIdle()
    {
        if (IsIdle)
        {
            Stop();
        }
    }
}
