namespace Shinano.Control.Api.Xend;

/// <summary>Make a domain what it was at a snapshot.</summary>
/// <param name="Paused">Leave it paused; null as it was when the snapshot was taken.</param>
public sealed record RevertRequest(bool? Paused);
