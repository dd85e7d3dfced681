namespace Shinano.Devices.Paravirtual.Block;

/// <summary>A request as copied from the ring.</summary>
internal sealed class BlockRequest
{
    /// <summary>What to do; of an indirect request, what is inside.</summary>
    public required BlockOperation Operation { get; set; }

    public required ulong Id { get; init; }

    /// <summary>First sector, of 512 bytes.</summary>
    public required ulong Sector { get; init; }

    public bool IsIndirect { get; set; }

    /// <summary>Segments as announced.</summary>
    public int SegmentCount { get; set; }

    /// <summary>Segments as far as they were on the ring.</summary>
    public BlockSegment[] Segments { get; set; } = [];

    /// <summary>Grant reference of the page of segments of an indirect request.</summary>
    public uint Pages { get; set; }

    /// <summary>Of a discard.</summary>
    public byte Flags { get; set; }

    /// <summary>Sectors of a discard.</summary>
    public ulong SectorCount { get; set; }

    /// <summary>Bytes that it may need while it is carried out, at most.</summary>
    public int MaximumBytes => Math.Min(SegmentCount, BlockQueue.MaximumIndirectSegments) * 4096;

    /// <summary>Nothing else may be in flight with it.</summary>
    public bool IsBarrier => Operation == BlockOperation.WriteBarrier;
}
