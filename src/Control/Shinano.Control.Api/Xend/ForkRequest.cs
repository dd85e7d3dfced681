namespace Shinano.Control.Api.Xend;

/// <param name="Name">Name of the copy; of several, the beginning of their names: NAME-1, NAME-2, ...</param>
/// <param name="Count">Copies, at least one.</param>
/// <param name="Paused">Leave the copies paused.</param>
/// <param name="Temporary">The copies' volumes go with them, and a copy whose guest ends is not started again.</param>
public sealed record ForkRequest(string Name, int Count = 1, bool Paused = false, bool Temporary = false);
