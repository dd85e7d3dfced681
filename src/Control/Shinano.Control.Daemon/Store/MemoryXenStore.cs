namespace Shinano.Control.Daemon.Store;

/// <summary>Nodes in memory only: what tests run against.</summary>
internal sealed class MemoryXenStore : IXenStore
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, string> _nodes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, IReadOnlyList<string>> _permissions = new(StringComparer.Ordinal);
    private readonly HashSet<int> _introduced = [];

    /// <summary>Every node and its value.</summary>
    public IReadOnlyDictionary<string, string> Snapshot()
    {
        lock (_lock)
        {
            return new SortedDictionary<string, string>(_nodes, StringComparer.Ordinal);
        }
    }

    public IReadOnlyList<string> PermissionsOf(string path)
    {
        lock (_lock)
        {
            return _permissions.GetValueOrDefault(path, []);
        }
    }

    public bool IsIntroduced(int domainId)
    {
        lock (_lock)
        {
            return _introduced.Contains(domainId);
        }
    }

    public Task<string?> ReadAsync(string path, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            return Task.FromResult(_nodes.GetValueOrDefault(path));
        }
    }

    public Task WriteAsync(string path, string value, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            for (int i = path.IndexOf('/', 1); i > 0; i = path.IndexOf('/', i + 1))
            {
                _nodes.TryAdd(path[..i], "");
            }

            _nodes[path] = value;
        }

        return Task.CompletedTask;
    }

    public Task RemoveAsync(string path, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            foreach (string node in _nodes.Keys.Where(n => n == path || n.StartsWith(path + "/", StringComparison.Ordinal)).ToArray())
            {
                _nodes.Remove(node);
                _permissions.Remove(node);
            }
        }

        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<string>> ListAsync(string path, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            string prefix = path + "/";
            return Task.FromResult<IReadOnlyList<string>>(
            [
                .. _nodes.Keys.Where(n => n.StartsWith(prefix, StringComparison.Ordinal)).Select(n => n[prefix.Length..].Split('/')[0]).Distinct(),
            ]);
        }
    }

    public Task SetPermissionsAsync(string path, IReadOnlyList<string> permissions, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            _permissions[path] = permissions;
        }

        return Task.CompletedTask;
    }

    public Task IntroduceAsync(int domainId, ulong ringFrame, uint eventPort, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            _introduced.Add(domainId);
        }

        return Task.CompletedTask;
    }

    public Task ReleaseAsync(int domainId, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            _introduced.Remove(domainId);
        }

        return Task.CompletedTask;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
