using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Devices.Paravirtual.Tests.XenBus;

/// <summary>xenstore in memory.</summary>
internal sealed class FakeStore : IBackEndStore
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, string> _nodes = [];
    private readonly List<(string Path, Action Changed)> _watches = [];

    public string? this[string path]
    {
        get
        {
            lock (_lock)
            {
                return _nodes.GetValueOrDefault(path);
            }
        }

        set
        {
            Action[] changed;
            lock (_lock)
            {
                if (value is null)
                {
                    _nodes.Remove(path);
                }
                else
                {
                    _nodes[path] = value;
                }

                changed = [.. _watches.Where(watch => path.StartsWith(watch.Path, StringComparison.Ordinal)).Select(watch => watch.Changed)];
            }

            foreach (Action one in changed)
            {
                one();
            }
        }
    }

    public Task<string?> TryReadAsync(string path, CancellationToken cancellation) => Task.FromResult(this[path]);

    public Task WriteAsync(string path, string value, CancellationToken cancellation)
    {
        this[path] = value;
        return Task.CompletedTask;
    }

    public Task RemoveAsync(string path, CancellationToken cancellation)
    {
        this[path] = null;
        return Task.CompletedTask;
    }

    public Task<IDisposable> WatchAsync(string path, Action changed, CancellationToken cancellation)
    {
        lock (_lock)
        {
            _watches.Add((path, changed));
        }

        changed();
        return Task.FromResult<IDisposable>(new Registration());
    }

    /// <summary>Waits until a node has a value.</summary>
    public async Task UntilAsync(string path, string value, CancellationToken cancellation)
    {
        TaskCompletionSource reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await WatchAsync(
            path,
            () =>
            {
                if (this[path] == value)
                {
                    reached.TrySetResult();
                }
            },
            cancellation);
        await reached.Task.WaitAsync(cancellation);
    }

    private sealed class Registration : IDisposable
    {
        public void Dispose()
        {
        }
    }
}
