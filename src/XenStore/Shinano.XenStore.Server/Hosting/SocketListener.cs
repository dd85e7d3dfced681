using System.Net.Sockets;
using Shinano.Linux;

namespace Shinano.XenStore.Server.Hosting;

/// <summary>
/// Listens at a unix socket (mode 0600) and runs a handler for each connection of the same user, or root, until it is disposed.
/// </summary>
internal sealed class SocketListener : IAsyncDisposable
{
    private readonly string path;
    private readonly Socket listener;
    private readonly Func<Socket, CancellationToken, Task> serve;
    private readonly Action<string> report;
    private readonly CancellationTokenSource stop = new();
    private readonly Lock gate = new();
    private readonly HashSet<Task> connections = [];
    private readonly Task accepting;

    /// <exception cref="IOException">The socket cannot be made there.</exception>
    internal SocketListener(string path, Func<Socket, CancellationToken, Task> serve, Action<string> report)
    {
        this.path = ShinanoPaths.PrepareSocketPath(path);
        this.serve = serve;
        this.report = report;

        // Who calls holds the lock of the state directory: a socket that is there belongs to a server that was killed.
        File.Delete(path);
        listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            listener.Bind(new UnixDomainSocketEndPoint(path));
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            listener.Listen(128);
        }
        catch (SocketException failure)
        {
            listener.Dispose();
            throw new IOException($"Cannot listen at '{path}': {failure.Message}", failure);
        }

        accepting = Task.Run(AcceptAsync);
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync().ConfigureAwait(false);
        listener.Dispose();
        await accepting.ConfigureAwait(false);
        Task[] open;
        lock (gate)
        {
            open = [.. connections];
        }

        await Task.WhenAll(open).ConfigureAwait(false);
        File.Delete(path);
        stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!stop.IsCancellationRequested)
        {
            Socket connection;
            try
            {
                connection = await listener.AcceptAsync(stop.Token).ConfigureAwait(false);
            }
            catch (Exception failure) when (failure is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException failure)
            {
                if (stop.IsCancellationRequested)
                {
                    return;
                }

                // Out of descriptors, for instance: others may end, so go on, but not in a tight loop.
                report($"xenstore cannot accept a connection at '{path}': {failure.Message}");
                await Task.Delay(TimeSpan.FromMilliseconds(100), CancellationToken.None).ConfigureAwait(false);
                continue;
            }

            Task served = ServeAsync(connection);
            lock (gate)
            {
                connections.Add(served);
            }

            _ = served.ContinueWith(
                done =>
                {
                    lock (gate)
                    {
                        connections.Remove(done);
                    }
                },
                TaskScheduler.Default);
        }
    }

    private async Task ServeAsync(Socket connection)
    {
        await Task.Yield();
        using (connection)
        {
            try
            {
                // The socket's mode says so already; this holds even if somebody changes it.
                uint user = PeerCredentials.Of(connection).UserId;
                if (user != ProcessIdentity.EffectiveUserId && user != 0)
                {
                    report($"User {user} may not connect to '{path}'.");
                    return;
                }

                await serve(connection, stop.Token).ConfigureAwait(false);
            }
            catch (Exception failure) when (failure is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                // The peer is gone, or the server stops: both are the ordinary end of a connection.
            }
            catch (Exception failure)
            {
                report($"A xenstore connection at '{path}' ended through an error of ours: {failure}");
            }
        }
    }
}
