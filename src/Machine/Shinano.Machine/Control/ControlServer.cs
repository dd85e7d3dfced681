using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using StreamJsonRpc;

namespace Shinano.Machine.Control;

/// <summary>The domain process's side of the control channel: listens on the domain's socket, serves every connection and sends each the events.</summary>
internal sealed class ControlServer : IDomainEvents, IDisposable
{
    private readonly string _path;
    private readonly Socket _listener;
    private readonly IDomainProcess _target;
    private readonly List<(JsonRpc Connection, IDomainEvents Events)> _clients = [];
    private readonly Lock _lock = new();
    private bool _closed;

    /// <summary>Listens. The socket is private to the user (0600).</summary>
    /// <exception cref="SocketException">The path cannot be bound.</exception>
    public ControlServer(string path, Func<ControlServer, IDomainProcess> target)
    {
        _path = path;
        File.Delete(path);
        _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _target = target(this);
        _listener.Listen(16);
        _ = AcceptAsync();
    }

    /// <summary>The last client has gone. Raised on a thread of the pool; short, not throwing.</summary>
    public event Action? Deserted;

    public void Progress(BuildProgress progress) => ForEach(e => e.Progress(progress));

    public void Started() => ForEach(e => e.Started());

    public void DeviceEnded(string kind, string id) => ForEach(e => e.DeviceEnded(kind, id));

    public void ShutDown(ShutdownReason reason) => ForEach(e => e.ShutDown(reason));

    /// <summary>Takes no further connections and removes the socket; those that are open go on until <see cref="Dispose"/>.</summary>
    public void StopListening()
    {
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }

            _closed = true;
        }

        _listener.Dispose();
        File.Delete(_path);
    }

    /// <summary>Waits until every client has closed, but no longer than the limit.</summary>
    public async Task DrainAsync(TimeSpan limit)
    {
        Task closed = Task.WhenAll(Clients().Select(c => c.Connection.Completion));
        await Task.WhenAny(closed, Task.Delay(limit)).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        StopListening();
        foreach ((JsonRpc connection, _) in Clients())
        {
            connection.Dispose();
        }
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptAsync().ConfigureAwait(false);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }

            (JsonRpc Connection, IDomainEvents Events) client = DomainControlChannel.Serve(new NetworkStream(socket, ownsSocket: true), _target);
            lock (_lock)
            {
                _clients.Add(client);
            }

            _ = ForgetAsync(client);
        }
    }

    private async Task ForgetAsync((JsonRpc Connection, IDomainEvents Events) client)
    {
        try
        {
            await client.Connection.Completion.ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or ConnectionLostException)
        {
            // The other side went away: the domain does not care.
        }
        finally
        {
            bool isDeserted;
            lock (_lock)
            {
                _clients.Remove(client);
                isDeserted = _clients.Count == 0 && !_closed;
            }

            client.Connection.Dispose();
            if (isDeserted)
            {
                Deserted?.Invoke();
            }
        }
    }

    private void ForEach(Action<IDomainEvents> send)
    {
        foreach ((_, IDomainEvents events) in Clients())
        {
            try
            {
                send(events);
            }
            catch (Exception e) when (e is ObjectDisposedException or ConnectionLostException or InvalidOperationException)
            {
                // Events may be lost; the status has the same facts.
            }
        }
    }

    private (JsonRpc Connection, IDomainEvents Events)[] Clients()
    {
        lock (_lock)
        {
            return [.. _clients];
        }
    }
}
