namespace Shinano.Devices.Paravirtual;

/// <summary>
/// What a back end waits on: the guest's event channel. A waiter takes <see cref="Version"/>, looks at the ring, and then waits for a change since
/// that version, so that no notification is lost between look and wait. Any thread.
/// </summary>
internal sealed class GuestSignal
{
    private readonly Lock _lock = new();
    private TaskCompletionSource? _waiters;
    private long _version;

    /// <summary>Number of notifications so far.</summary>
    public long Version => Volatile.Read(ref _version);

    /// <summary>Notes a notification; never blocks, runs nobody's code.</summary>
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

    /// <summary>Completes once there was a notification after <paramref name="seen"/>.</summary>
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
