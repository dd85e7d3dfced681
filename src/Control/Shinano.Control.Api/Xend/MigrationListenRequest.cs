namespace Shinano.Control.Api.Xend;

/// <param name="Endpoint">ADDRESS:PORT; null for none.</param>
public sealed record MigrationListenRequest(string? Endpoint);
