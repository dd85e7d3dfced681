namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>What back ends need of <see cref="Shinano.XenStore.Client.BackEndStore"/>, which see.</summary>
public interface IBackEndStore
{
    /// <summary>The value of a node; null when there is none, or it may not be read.</summary>
    Task<string?> TryReadAsync(string path, CancellationToken cancellation);

    /// <summary>Sets a value. Throws an IOException when it may not.</summary>
    Task WriteAsync(string path, string value, CancellationToken cancellation);

    /// <summary>Removes a node and all below it. Throws an IOException when it may not.</summary>
    Task RemoveAsync(string path, CancellationToken cancellation);

    /// <summary>Has <paramref name="changed"/> called after changes of a node or below it, until it is disposed; spurious calls may come.</summary>
    Task<IDisposable> WatchAsync(string path, Action changed, CancellationToken cancellation);
}
