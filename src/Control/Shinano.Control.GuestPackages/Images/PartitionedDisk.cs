using System.Buffers.Binary;

namespace Shinano.Control.GuestPackages.Images;

/// <summary>A raw disk with one partition: a PC partition table, and the file system from 1 MiB on.</summary>
/// <remarks>
/// <code>
/// 0     446  boot code, none          512..1 MiB  nothing: where a boot loader of a PC would lie
/// 446    16  the partition's entry    1 MiB..     the file system
/// 510     2  55 AA
/// </code>
/// </remarks>
internal static class PartitionedDisk
{
    /// <summary>Bytes before the partition.</summary>
    public const int Start = 1 << 20;

    private const int SectorSize = 512;
    private const int ChunkSize = 1 << 16;

    /// <summary>Writes a disk; chunks of zeroes stay holes.</summary>
    /// <param name="disk">An empty file.</param>
    /// <param name="mebibytes">Its size.</param>
    /// <param name="fileSystem">Its bytes; as many as the partition has, or fewer.</param>
    /// <param name="progress">Told of the bytes read so far.</param>
    public static async Task WriteAsync(FileStream disk, int mebibytes, Stream fileSystem, Action<long> progress, CancellationToken cancellation)
    {
        long size = (long)mebibytes << 20;
        disk.SetLength(size);
        await disk.WriteAsync(Table(size), cancellation).ConfigureAwait(false);
        byte[] chunk = new byte[ChunkSize];
        long at = 0;
        while (true)
        {
            int count = await fileSystem.ReadAtLeastAsync(chunk, ChunkSize, throwOnEndOfStream: false, cancellation).ConfigureAwait(false);
            if (count == 0)
            {
                break;
            }

            if (Start + at + count > size)
            {
                throw new InvalidDataException("the file system is larger than its partition");
            }

            if (chunk.AsSpan(0, count).ContainsAnyExcept((byte)0))
            {
                disk.Position = Start + at;
                await disk.WriteAsync(chunk.AsMemory(0, count), cancellation).ConfigureAwait(false);
            }

            at += count;
            progress(at);
        }

        if (at != size - Start)
        {
            throw new InvalidDataException($"the file system has {at} bytes, not {size - Start}");
        }
    }

    private static byte[] Table(long size)
    {
        byte[] sector = new byte[SectorSize];
        Span<byte> entry = sector.AsSpan(446, 16);

        // Active; places in cylinders are out of range, as for every large disk; Linux.
        entry[0] = 0x80;
        entry[1] = entry[5] = 0xfe;
        entry[2] = entry[3] = entry[6] = entry[7] = 0xff;
        entry[4] = 0x83;
        BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], Start / SectorSize);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[12..], (uint)Math.Min((size - Start) / SectorSize, uint.MaxValue));
        sector[510] = 0x55;
        sector[511] = 0xaa;
        return sector;
    }
}
