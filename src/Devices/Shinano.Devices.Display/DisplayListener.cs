using System.Net.Sockets;
using Shinano.Linux;

namespace Shinano.Devices.Display;

/// <summary>The unix socket at which a display is served, mode 0600.</summary>
public sealed class DisplayListener : IAsyncDisposable
{
    private static readonly TimeSpan AcceptPause = TimeSpan.FromMilliseconds(100);
    private readonly string _path;
    private readonly DisplayServer _server;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly CancellationTokenSource _stop = new();
    private readonly HashSet<Task> _viewers = [];
    private readonly Lock _lock = new();
    private readonly Task _accepting;

    /// <summary>Listens; a socket file of an earlier life is replaced.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="server">Disposed with this.</param>
    public DisplayListener(string path, DisplayServer server)
    {
        ShinanoPaths.CheckSocketPath(path);
        _path = path;
        _server = server;
        File.Delete(path);
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _listener.Listen(16);
        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Cuts all viewers off and removes the socket.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _accepting.ConfigureAwait(false);
        _listener.Dispose();
        File.Delete(_path);
        Task[] viewers;
        lock (_lock)
        {
            viewers = [.. _viewers];
        }

        await Task.WhenAll(viewers).ConfigureAwait(false);
        _server.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                Socket viewer = await _listener.AcceptAsync(_stop.Token).ConfigureAwait(false);
                Task serving = Task.Run(() => _server.ServeAsync(new NetworkStream(viewer, ownsSocket: true), _stop.Token));
                lock (_lock)
                {
                    _viewers.Add(serving);
                }

                _ = serving.ContinueWith(Forget, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (SocketException)
            {
                // One that gave up before it was accepted, or too many open files: the next one may have more luck.
                await Task.Delay(AcceptPause, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private void Forget(Task serving)
    {
        lock (_lock)
        {
            _viewers.Remove(serving);
        }
    }
}
