using System.Buffers.Binary;

namespace Shinano.Storage.Writing;

/// <summary>
/// What Shinano.Storage.Writer writes: four workers own a quarter of the disk each, and of that, slots of 32 KiB that lie across cluster boundaries. Each 8 bytes of a slot are a
/// version, and whose slot it is. What lies between the slots is never written.
/// </summary>
internal static class WriterSlots
{
    public const int Workers = 4;
    public const int Size = 32 << 10;

    private const int Shift = 4096;

    public static int Count(long disk) => (int)(disk / Size / Workers) - 1;

    public static long Offset(long disk, int worker, int slot) => (((long)worker * (Count(disk) + 1)) + slot) * Size + Shift;

    public static void Fill(Span<byte> data, int worker, int slot, uint version)
    {
        for (int at = 0; at < Size; at += 8)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(data[at..], version);
            BinaryPrimitives.WriteUInt32LittleEndian(data[(at + 4)..], Owner(worker, slot));
        }
    }

    /// <summary>What is wrong with a slot; null for nothing. Right is a version or a later one, or zeroes, which may be of a later erasure that nobody acknowledged.</summary>
    /// <param name="atLeast">The version; 0 when none was acknowledged.</param>
    /// <param name="untouched">What each byte was at first, allowed where no version was acknowledged; null to allow none.</param>
    public static string? FindFault(ReadOnlySpan<byte> data, int worker, int slot, uint atLeast, byte? untouched = null)
    {
        for (int at = 0; at < Size; at += 8)
        {
            uint version = BinaryPrimitives.ReadUInt32LittleEndian(data[at..]);
            uint owner = BinaryPrimitives.ReadUInt32LittleEndian(data[(at + 4)..]);
            bool isErased = version == 0 && owner == 0;
            bool isFirst = atLeast == 0 && untouched is { } value && data.Slice(at, 8).IndexOfAnyExcept(value) < 0;
            if (!isErased && !isFirst && (owner != Owner(worker, slot) || version < atLeast))
            {
                return $"worker {worker}, slot {slot}, byte {at}: version {version} of {owner:x}, acknowledged {atLeast}";
            }
        }

        return null;
    }

    private static uint Owner(int worker, int slot) => (uint)((worker << 20) | slot);
}
