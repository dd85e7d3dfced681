using Shinano.Control.Configuration.Disks;

namespace Shinano.Control.Daemon.Forking;

/// <summary>A disk that a domain writes to, which each copy of it gets a volume of its own for.</summary>
/// <param name="Disk">The domain's disk.</param>
/// <param name="Volume">POOL/VOLUME that it is.</param>
/// <param name="Snapshot">POOL/VOLUME@SNAPSHOT of the moment in which the domain is copied.</param>
internal sealed record ForkedDisk(DiskConfiguration Disk, string Volume, string Snapshot)
{
    /// <summary>The volume of a copy.</summary>
    public string CloneOf(string copy) => $"{Volume}-fork-{Legal(copy)}";

    /// <summary>The disk of a copy.</summary>
    public DiskConfiguration DiskOf(string copy) => Disk with { Volume = CloneOf(copy), Target = null };

    /// <summary>A domain's name as a part of a volume's: two characters of the one are not legal in the other.</summary>
    public static string Legal(string name) => name.Replace('+', '_').Replace('@', '_');
}
