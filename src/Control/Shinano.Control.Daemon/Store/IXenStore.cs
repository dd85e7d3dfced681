namespace Shinano.Control.Daemon.Store;

/// <summary>What xend does with xenstore, as domain 0. Failures of the store itself are exceptions.</summary>
internal interface IXenStore : IAsyncDisposable
{
    /// <summary>The value, or null when the node does not exist.</summary>
    Task<string?> ReadAsync(string path, CancellationToken cancellationToken);

    /// <summary>Writes a node, making it and its parents when needed.</summary>
    Task WriteAsync(string path, string value, CancellationToken cancellationToken);

    /// <summary>Removes a node and what is below it; no error when it is not there.</summary>
    Task RemoveAsync(string path, CancellationToken cancellationToken);

    /// <summary>Names of the children; empty when the node does not exist.</summary>
    Task<IReadOnlyList<string>> ListAsync(string path, CancellationToken cancellationToken);

    /// <summary>Sets permissions in the form of xenstore-chmod: the first names the owner and everybody else's right ("n0", "r5").</summary>
    Task SetPermissionsAsync(string path, IReadOnlyList<string> permissions, CancellationToken cancellationToken);

    /// <summary>XS_INTRODUCE: the domain's ring may speak from now on.</summary>
    Task IntroduceAsync(int domainId, ulong ringFrame, uint eventPort, CancellationToken cancellationToken);

    /// <summary>XS_RELEASE: the domain is gone; @releaseDomain fires.</summary>
    Task ReleaseAsync(int domainId, CancellationToken cancellationToken);
}
