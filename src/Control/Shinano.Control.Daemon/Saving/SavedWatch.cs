namespace Shinano.Control.Daemon.Saving;

/// <summary>A watch of a saved domain, as the guest set it.</summary>
internal sealed record SavedWatch(string Path, string Token);
