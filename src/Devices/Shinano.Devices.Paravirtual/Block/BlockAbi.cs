using System.Buffers.Binary;

namespace Shinano.Devices.Paravirtual.Block;

/// <summary>Layout of ring entries, which differs with the alignment of 64-bit integers. Source: public/io/blkif.h; Linux: drivers/block/xen-blkback/common.h.</summary>
/// <remarks>
/// <code>
///            x86_64   x86_32
/// operation     0        0     u8
/// segments      1        1     u8; indirect: the operation inside; discard: flags
/// handle        2        2     u16; indirect: number of segments
/// id            8        4     u64
/// sector       16       12     u64
/// segments     24       20     11 of 8 bytes: grant reference u32, first u8, last u8; discard: number of sectors u64
/// references   28       24     indirect: 8 grant references of pages with 512 segments each
/// entry       112      108
/// answer        0, 8, 10       id u64, operation u8, status s16
/// </code>
/// </remarks>
internal sealed record BlockAbi
{
    /// <summary>BLKIF_MAX_SEGMENTS_PER_REQUEST.</summary>
    public const int MaximumSegments = 11;

    /// <summary>Bytes of a segment, on the ring and in a page of segments.</summary>
    public const int SegmentSize = 8;

    /// <summary>Segments in a page of them.</summary>
    public const int SegmentsPerPage = 4096 / SegmentSize;

    /// <summary>Bytes of an answer that carry something.</summary>
    public const int ResponseSize = 12;

    public static readonly BlockAbi X64 = new() { EntrySize = 112, Id = 8 };

    public static readonly BlockAbi X86 = new() { EntrySize = 108, Id = 4 };

    public required int EntrySize { get; init; }

    public required int Id { get; init; }

    private int Sector => Id + 8;

    private int Segments => Id + 16;

    private int References => Id + 20;

    /// <summary>The layout that a front end names in its <c>protocol</c> node; null for one that it cannot have.</summary>
    public static BlockAbi? Of(string? protocol) => protocol switch
    {
        null or "" or "x86_64-abi" => X64,
        "x86_32-abi" => X86,
        _ => null,
    };

    /// <summary>Reads a copied entry. Nothing in it has been checked.</summary>
    public BlockRequest Read(ReadOnlySpan<byte> entry)
    {
        BlockOperation operation = (BlockOperation)entry[0];
        BlockRequest request = new()
        {
            Operation = operation,
            Id = BinaryPrimitives.ReadUInt64LittleEndian(entry[Id..]),
            Sector = BinaryPrimitives.ReadUInt64LittleEndian(entry[Sector..]),
        };
        switch (operation)
        {
            case BlockOperation.Discard:
                request.Flags = entry[1];
                request.SectorCount = BinaryPrimitives.ReadUInt64LittleEndian(entry[Segments..]);
                break;
            case BlockOperation.Indirect:
                request.IsIndirect = true;
                request.Operation = (BlockOperation)entry[1];
                request.SegmentCount = BinaryPrimitives.ReadUInt16LittleEndian(entry[2..]);
                request.Pages = BinaryPrimitives.ReadUInt32LittleEndian(entry[References..]);
                break;
            default:
                request.SegmentCount = entry[1];
                request.Segments = ReadSegments(entry[Segments..], Math.Min((int)entry[1], MaximumSegments));
                break;
        }

        return request;
    }

    /// <summary>Reads copied segments.</summary>
    public static BlockSegment[] ReadSegments(ReadOnlySpan<byte> bytes, int count)
    {
        BlockSegment[] segments = new BlockSegment[count];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> one = bytes.Slice(i * SegmentSize, SegmentSize);
            segments[i] = new BlockSegment(BinaryPrimitives.ReadUInt32LittleEndian(one), one[4], one[5]);
        }

        return segments;
    }

    /// <summary>Writes an answer.</summary>
    public static void WriteResponse(Span<byte> response, BlockRequest request, BlockStatus status)
    {
        response.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(response, request.Id);

        // Of an indirect request, what is inside: Linux's front end compares it.
        response[8] = (byte)request.Operation;
        BinaryPrimitives.WriteInt16LittleEndian(response[10..], (short)status);
    }
}
