using System.Buffers.Binary;

namespace Shinano.Storage.Qcow2;

/// <summary>A cluster of L2 entries or refcounts in memory, and which of its pieces the file does not have yet.</summary>
internal sealed class MetadataTable
{
    private readonly int _pieceSize;
    private ulong _dirty;

    public MetadataTable(long offset, byte[] data)
    {
        Offset = offset;
        Data = data;

        // 64 pieces at most, whole sectors: a sector is what a disk writes at once.
        _pieceSize = Math.Max(BlockRange.SectorSize, data.Length / 64);
    }

    /// <summary>Where it is in the file.</summary>
    public long Offset { get; }

    public byte[] Data { get; }

    public bool IsDirty => _dirty != 0;

    /// <summary>Its changes are on their way to the file: what the file has is not yet this.</summary>
    public bool IsBeingWritten { get; set; }

    public long LastUse { get; set; }

    public ulong this[int index]
    {
        get => BinaryPrimitives.ReadUInt64BigEndian(Data.AsSpan(index * 8));
        set
        {
            BinaryPrimitives.WriteUInt64BigEndian(Data.AsSpan(index * 8), value);
            MarkDirty(index * 8);
        }
    }

    public void MarkDirty(int at) => _dirty |= 1UL << (at / _pieceSize);

    public void MarkAllDirty() => _dirty = Data.Length / _pieceSize == 64 ? ulong.MaxValue : (1UL << (Data.Length / _pieceSize)) - 1;

    /// <summary>Copies what is dirty, as runs, and counts it as clean.</summary>
    public void Collect(List<(long Offset, byte[] Bytes)> into)
    {
        for (int piece = 0; _dirty >> piece != 0 && piece < 64;)
        {
            if ((_dirty >> piece & 1) == 0)
            {
                piece++;
                continue;
            }

            int first = piece;
            while (piece < 64 && (_dirty >> piece & 1) != 0)
            {
                piece++;
            }

            into.Add((Offset + ((long)first * _pieceSize), Data[(first * _pieceSize)..(piece * _pieceSize)]));
            if (piece == 64)
            {
                break;
            }
        }

        _dirty = 0;
    }
}
