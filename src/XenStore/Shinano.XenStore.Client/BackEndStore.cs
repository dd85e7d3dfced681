using System.Globalization;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Client;

/// <summary>
/// xenstore as the back ends of a domain process see it, over any number of connections: requests wait while xend is away and are sent again when their
/// answer was lost; watches are set again, and fire then. Requests must therefore bear repetition. Thread-safe.
/// </summary>
public sealed class BackEndStore : IAsyncDisposable
{
    private readonly Func<CancellationToken, Task<XenStoreClient>> _connect;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private readonly Dictionary<string, (string Path, Action Changed)> _watches = new(StringComparer.Ordinal);
    private readonly Task _running;
    private TaskCompletionSource<XenStoreClient> _connected = NewConnection();
    private ulong _lastToken;
    private int _disposed;

    /// <summary>Starts to connect; returns at once.</summary>
    /// <param name="socketPath">xend's relay socket.</param>
    /// <param name="domain">Whose devices the back ends serve.</param>
    /// <param name="token">What xend gave this process to show.</param>
    public BackEndStore(string socketPath, DomainId domain, RelayToken token)
        : this(cancellation => XenStoreClient.ConnectBackEndAsync(socketPath, domain, token, cancellation))
    {
    }

    internal BackEndStore(Func<CancellationToken, Task<XenStoreClient>> connect)
    {
        _connect = connect;
        _running = Task.Run(RunAsync);
    }

    /// <summary>The value of a node as text, or null if there is none or it may not be read.</summary>
    public Task<string?> TryReadAsync(string path, CancellationToken cancellation) => DoAsync<string?>(
        async client =>
        {
            try
            {
                return await client.TryReadStringAsync(path, 0, cancellation).ConfigureAwait(false);
            }
            catch (XenStoreException refused) when (refused.Error is XenStoreError.AccessDenied)
            {
                return null;
            }
        },
        cancellation);

    /// <summary>Sets a value.</summary>
    /// <exception cref="XenStoreException">xend refuses: the node is none of this domain's back ends, or the device's directory is gone.</exception>
    public Task WriteAsync(string path, string value, CancellationToken cancellation) => DoAsync(
        async client =>
        {
            await client.WriteAsync(path, value, 0, cancellation).ConfigureAwait(false);
            return true;
        },
        cancellation);

    /// <summary>Removes a node; does nothing when it is not there.</summary>
    /// <exception cref="XenStoreException">xend refuses.</exception>
    public Task RemoveAsync(string path, CancellationToken cancellation) => DoAsync(
        async client =>
        {
            await client.RemoveAsync(path, 0, cancellation).ConfigureAwait(false);
            return true;
        },
        cancellation);

    /// <summary>Has <paramref name="changed"/> called when a node or one below it changes, and after each new connection. It must not block.</summary>
    public async Task<IDisposable> WatchAsync(string path, Action changed, CancellationToken cancellation)
    {
        string token;
        lock (_lock)
        {
            token = (++_lastToken).ToString(CultureInfo.InvariantCulture);
            _watches.Add(token, (path, changed));
        }

        try
        {
            await DoAsync(client => SetAsync(client, path, token), cancellation).ConfigureAwait(false);
        }
        catch
        {
            Forget(token);
            throw;
        }

        return new Registration(this, path, token);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            await _stop.CancelAsync().ConfigureAwait(false);
            await _running.ConfigureAwait(false);
        }
    }

    private static TaskCompletionSource<XenStoreClient> NewConnection() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static async Task<bool> SetAsync(XenStoreClient client, string path, string token)
    {
        try
        {
            await client.WatchAsync(path, token).ConfigureAwait(false);
        }
        catch (XenStoreException refused) when (refused.Error == XenStoreError.AlreadyExists)
        {
            // The new connection's own round was faster.
        }

        return true;
    }

    private async Task<T> DoAsync<T>(Func<XenStoreClient, Task<T>> request, CancellationToken cancellation)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _stop.Token);
        while (true)
        {
            Task<XenStoreClient> connected;
            lock (_lock)
            {
                connected = _connected.Task;
            }

            XenStoreClient client = await connected.WaitAsync(either.Token).ConfigureAwait(false);
            try
            {
                return await request(client).WaitAsync(either.Token).ConfigureAwait(false);
            }
            catch (IOException failure) when (failure is not XenStoreException)
            {
                // The connection is lost; once its end was noticed, there is another to wait for.
                lock (_lock)
                {
                    if (_connected.Task == connected)
                    {
                        _connected = NewConnection();
                    }
                }
            }
        }
    }

    private async Task RunAsync()
    {
        ReconnectPause pause = new();
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await using XenStoreClient client = await _connect(_stop.Token).ConfigureAwait(false);
                pause.Reset();
                await ServeAsync(client).ConfigureAwait(false);
            }
            catch (Exception failure) when (failure is IOException or OperationCanceledException)
            {
                // xend is gone or not there yet, or we stop.
            }

            lock (_lock)
            {
                if (_connected.Task.IsCompleted)
                {
                    _connected = NewConnection();
                }
            }

            await pause.WaitAsync(_stop.Token).ConfigureAwait(false);
        }
    }

    private async Task ServeAsync(XenStoreClient client)
    {
        (string Token, string Path)[] watches;
        lock (_lock)
        {
            _connected.TrySetResult(client);
            watches = [.. _watches.Select(watch => (watch.Key, watch.Value.Path))];
        }

        foreach ((string token, string path) in watches)
        {
            try
            {
                await SetAsync(client, path, token).ConfigureAwait(false);
            }
            catch (XenStoreException)
            {
                // Its device's owner finds the nodes gone, too.
            }
        }

        await foreach (WatchEvent change in client.Events.ReadAllAsync(_stop.Token).ConfigureAwait(false))
        {
            Action? changed;
            lock (_lock)
            {
                changed = _watches.GetValueOrDefault(change.Token).Changed;
            }

            changed?.Invoke();
        }
    }

    private void Forget(string token)
    {
        lock (_lock)
        {
            _watches.Remove(token);
        }
    }

    private async Task UnwatchAsync(string path, string token)
    {
        XenStoreClient? client;
        lock (_lock)
        {
            client = _connected.Task.IsCompletedSuccessfully ? _connected.Task.Result : null;
        }

        try
        {
            await (client?.UnwatchAsync(path, token) ?? Task.CompletedTask).ConfigureAwait(false);
        }
        catch (IOException)
        {
            // It ends with the connection, or did already.
        }
    }

    private sealed class Registration(BackEndStore store, string path, string token) : IDisposable
    {
        public void Dispose()
        {
            store.Forget(token);
            _ = store.UnwatchAsync(path, token);
        }
    }
}
