namespace Shinano.Control.Api.Xend;

/// <summary>Take a snapshot of a volume that a domain has open.</summary>
/// <param name="Snapshot">POOL/VOLUME@SNAPSHOT.</param>
public sealed record SnapshotRequest(string Snapshot);
