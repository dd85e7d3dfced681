namespace Shinano.Control.Api.Xend;

/// <param name="Path">Absolute path of a saved domain.</param>
/// <param name="Paused">Leave the domain paused.</param>
public sealed record RestoreRequest(string Path, bool Paused);
