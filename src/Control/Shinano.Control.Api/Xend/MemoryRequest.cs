namespace Shinano.Control.Api.Xend;

/// <param name="Bytes">New target or ceiling, in bytes.</param>
public sealed record MemoryRequest(long Bytes);
