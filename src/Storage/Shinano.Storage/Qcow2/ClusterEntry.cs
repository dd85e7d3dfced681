namespace Shinano.Storage.Qcow2;

internal enum ClusterKind
{
    /// <summary>Reads as the backing file, or as zeroes.</summary>
    Unallocated,

    /// <summary>Reads as zeroes; may have a host cluster that is reserved for it.</summary>
    Zero,

    /// <summary>A host cluster of its own.</summary>
    Data,

    Compressed,
}

/// <summary>An L2 entry, decoded and checked (qcow2.txt: "Standard Cluster Descriptor", "Compressed Clusters Descriptor").</summary>
/// <param name="HostOffset">Where the cluster begins in the file, 0 for none. Any byte for compressed clusters.</param>
/// <param name="CompressedLength">Bytes from there on that may belong to the compressed data.</param>
internal readonly record struct ClusterEntry(ClusterKind Kind, long HostOffset, bool IsCopied, int CompressedLength = 0)
{
    /// <returns>Null when the entry is not legal.</returns>
    public static ClusterEntry? Decode(Qcow2Layout layout, ulong raw)
    {
        if ((raw & Qcow2Layout.Compressed) != 0)
        {
            return DecodeCompressed(layout, raw);
        }

        bool zero = (raw & Qcow2Layout.Zero) != 0;
        long offset = (long)(raw & Qcow2Layout.OffsetMask);
        bool copied = (raw & Qcow2Layout.Copied) != 0;
        ulong reserved = raw & ~(Qcow2Layout.OffsetMask | Qcow2Layout.Copied | (layout.HasZeroFlag ? Qcow2Layout.Zero : 0));
        if (reserved != 0 || !layout.IsAligned(offset) || (offset == 0 && copied))
        {
            return null;
        }

        ClusterKind kind = zero ? ClusterKind.Zero : offset == 0 ? ClusterKind.Unallocated : ClusterKind.Data;
        return new ClusterEntry(kind, offset, copied);
    }

    /// <summary>The entry of a compressed cluster. The sectors of the file that it spans are counted from the one that holds the first byte.</summary>
    public static ulong EncodeCompressed(Qcow2Layout layout, long offset, int length)
    {
        int countShift = 62 - (layout.ClusterBits - 8);
        long additional = ((offset & 511) + length - 1) / 512;
        return Qcow2Layout.Compressed | ((ulong)additional << countShift) | (ulong)offset;
    }

    private static ClusterEntry? DecodeCompressed(Qcow2Layout layout, ulong raw)
    {
        int countShift = 62 - (layout.ClusterBits - 8);
        long offset = (long)(raw & ((1UL << countShift) - 1));
        long additional = (long)((raw & (Qcow2Layout.Compressed - 1)) >> countShift);
        if ((raw & Qcow2Layout.Copied) != 0 || offset >= Qcow2Layout.HostLimit || offset == 0)
        {
            return null;
        }

        return new ClusterEntry(ClusterKind.Compressed, offset, IsCopied: false, (int)(((additional + 1) * 512) - (offset & 511)));
    }
}
