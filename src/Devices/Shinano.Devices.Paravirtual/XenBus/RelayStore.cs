using Shinano.XenAbi;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>xend's xenstore, over a connection of its own beside the guest's ring.</summary>
/// <param name="socketPath">xend's relay socket.</param>
/// <param name="domain">Whose devices the back ends serve.</param>
/// <param name="token">What xend gave this process to show.</param>
public sealed class RelayStore(string socketPath, DomainId domain, RelayToken token) : IBackEndStore, IAsyncDisposable
{
    private readonly BackEndStore _store = new(socketPath, domain, token);

    /// <inheritdoc/>
    public Task<string?> TryReadAsync(string path, CancellationToken cancellation) => _store.TryReadAsync(path, cancellation);

    /// <inheritdoc/>
    public Task WriteAsync(string path, string value, CancellationToken cancellation) => _store.WriteAsync(path, value, cancellation);

    /// <inheritdoc/>
    public Task RemoveAsync(string path, CancellationToken cancellation) => _store.RemoveAsync(path, cancellation);

    /// <inheritdoc/>
    public Task<IDisposable> WatchAsync(string path, Action changed, CancellationToken cancellation) => _store.WatchAsync(path, changed, cancellation);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _store.DisposeAsync();
}
