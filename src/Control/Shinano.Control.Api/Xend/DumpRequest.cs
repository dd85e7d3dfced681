namespace Shinano.Control.Api.Xend;

/// <param name="Path">Absolute; null takes a name below the state directory.</param>
/// <param name="Crash">Mark the domain as crashed and end it afterwards.</param>
public sealed record DumpRequest(string? Path, bool Crash);
