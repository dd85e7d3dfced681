namespace Shinano.Control.Api.Xend;

/// <summary>Take a snapshot of a domain, memory and disks together.</summary>
/// <param name="Name">Null for the present second, as virsh names them.</param>
public sealed record DomainSnapshotRequest(string? Name);
