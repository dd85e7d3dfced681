namespace Shinano.XenStore.Client;

/// <summary>A watch fired.</summary>
/// <param name="Path">What changed, relative if the watch is.</param>
/// <param name="Token">The token the watch was set with.</param>
public readonly record struct WatchEvent(string Path, string Token);
