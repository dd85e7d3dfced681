namespace Shinano.Storage.Qcow2;

/// <summary>Sizes and bits that follow from an image's version, cluster size and refcount width (QEMU docs/interop/qcow2.txt).</summary>
internal sealed class Qcow2Layout
{
    /// <summary>Smallest and largest cluster: 512 bytes by the specification, 2 MiB by QEMU's limit.</summary>
    public const int LeastClusterBits = 9;
    public const int MostClusterBits = 21;

    /// <summary>Bits 9-55: the offset in an entry of the L1 and L2 tables.</summary>
    public const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;

    /// <summary>Bit 63 of an entry of the L1 and L2 tables: what it leads to has a refcount of exactly one.</summary>
    public const ulong Copied = 1UL << 63;

    /// <summary>Bit 62 of an L2 entry.</summary>
    public const ulong Compressed = 1UL << 62;

    /// <summary>Bit 0 of an L2 entry, since version 3.</summary>
    public const ulong Zero = 1;

    /// <summary>Host offsets have 56 bits.</summary>
    public const long HostLimit = 1L << 56;

    /// <summary>QEMU's limits (qcow2.txt, notes at "size" and "Host cluster management"): larger tables are refused.</summary>
    public const long MostL1Bytes = 32L << 20;
    public const long MostRefcountTableBytes = 8L << 20;

    public Qcow2Layout(int version, int clusterBits, int refcountOrder)
    {
        Version = version;
        ClusterBits = clusterBits;
        RefcountBits = 1 << refcountOrder;
        RefcountOrder = refcountOrder;
    }

    public int Version { get; }

    public int ClusterBits { get; }

    public int RefcountOrder { get; }

    public int RefcountBits { get; }

    /// <summary>Bytes.</summary>
    public int ClusterSize => 1 << ClusterBits;

    /// <summary>Entries of an L2 table, and of a cluster of the L1 or refcount table.</summary>
    public int TableEntries => 1 << (ClusterBits - 3);

    /// <summary>Clusters whose refcounts one refcount block holds.</summary>
    public int RefcountsPerBlock => 1 << (ClusterBits + 3 - RefcountOrder);

    /// <summary>The largest refcount.</summary>
    public ulong MostRefcount => RefcountBits == 64 ? long.MaxValue : (1UL << RefcountBits) - 1;

    /// <summary>Guest bytes that one L2 table maps.</summary>
    public long BytesPerTable => (long)TableEntries << ClusterBits;

    public bool HasZeroFlag => Version >= 3;

    public long ClustersOf(long bytes) => (bytes + ClusterSize - 1) >> ClusterBits;

    public bool IsAligned(long offset) => (offset & (ClusterSize - 1)) == 0;

    /// <summary>L1 entries that a disk of this length needs.</summary>
    public long TablesOf(long length) => (length + BytesPerTable - 1) / BytesPerTable;
}
