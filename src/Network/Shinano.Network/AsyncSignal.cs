namespace Shinano.Network;

/// <summary>
/// What one side sets and the other waits on. A waiter takes <see cref="Version"/>, looks, and waits for a change since then, so that nothing is lost between.
/// Thread-safe.
/// </summary>
public sealed class AsyncSignal
{
    private readonly Lock _lock = new();
    private TaskCompletionSource? _waiters;
    private long _version;

    /// <summary>How often it was set.</summary>
    public long Version => Volatile.Read(ref _version);

    /// <summary>Sets it; never blocks, runs nobody's code.</summary>
    public void Set()
    {
        TaskCompletionSource? waiters;
        lock (_lock)
        {
            _version++;
            waiters = _waiters;
            _waiters = null;
        }

        waiters?.SetResult();
    }

    /// <summary>Completes once it was set after <paramref name="seen"/>.</summary>
    public Task WaitAsync(long seen, CancellationToken cancellation)
    {
        lock (_lock)
        {
            if (_version != seen)
            {
                return Task.CompletedTask;
            }

            _waiters ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _waiters.Task.WaitAsync(cancellation);
        }
    }
}
