namespace Shinano.Control.Daemon.Snapshots;

/// <summary>A volume's part of a domain's snapshot.</summary>
/// <param name="Device">The disk's number in the domain, e.g. "51712".</param>
/// <param name="Volume">POOL/VOLUME.</param>
/// <param name="Guid">The volume's snapshot, chosen before it was taken: one of the same name that somebody else made is none of ours.</param>
internal sealed record SnapshotVolume(string Device, string Volume, Guid Guid);
