namespace Shinano.Storage.Pools;

/// <summary>What is known of a volume's snapshot.</summary>
/// <param name="Guid">What it is known by, whatever its name is later.</param>
/// <param name="Clones">Volumes that begin as it, with their pool.</param>
public sealed record SnapshotFacts(Guid Guid, IReadOnlyList<string> Clones);
