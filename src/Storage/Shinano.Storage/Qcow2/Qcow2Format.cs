using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Shinano.Linux;

namespace Shinano.Storage.Qcow2;

/// <summary>Makes new images.</summary>
public static class Qcow2Format
{
    private const int ClusterBits = 16;

    /// <summary>Makes an empty version 3 image with clusters of 64 KiB; durable when it returns, but for its name in the directory.</summary>
    /// <param name="path">A file that does not exist.</param>
    /// <param name="length">Bytes of the disk.</param>
    /// <param name="backing">What the disk reads as: the file's name as the header is to have it, relative to <paramref name="path"/>, and its format.</param>
    /// <param name="zstd">Compressed clusters, if there will be any, use zstd instead of deflate.</param>
    /// <exception cref="IOException">The file exists, or cannot be made.</exception>
    public static void Create(string path, long length, (string Name, ImageFormat Format)? backing = null, bool zstd = false)
    {
        using SafeFileHandle file = CreateUnflushed(path, length, backing, zstd);
        FileStorage.FlushData(file);
    }

    /// <summary>The same, but the caller flushes the result, and closes it.</summary>
    internal static SafeFileHandle CreateUnflushed(string path, long length, (string Name, ImageFormat Format)? backing, bool zstd)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(length % BlockRange.SectorSize, 0);
        Qcow2Layout layout = new(3, ClusterBits, refcountOrder: 4);
        long entries = layout.TablesOf(length);
        if (entries * 8 > Qcow2Layout.MostL1Bytes)
        {
            throw new IOException($"a disk of {length} bytes needs an L1 table of more than 32 MiB");
        }

        // Header, refcount table, refcount block, L1 table: at most 515 clusters, which one block counts.
        const int Table = 1 << ClusterBits;
        const int Block = 2 << ClusterBits;
        const int L1 = 3 << ClusterBits;
        long clusters = 3 + layout.ClustersOf(Math.Max(entries, 1) * 8);
        Qcow2Header header = new()
        {
            Layout = layout,
            Size = length,
            L1Entries = (int)entries,
            L1Offset = L1,
            RefcountTableOffset = Table,
            RefcountTableClusters = 1,
            Incompatible = zstd ? Qcow2Features.CompressionType : 0,
            Compression = zstd ? (byte)1 : (byte)0,
            BackingFile = backing?.Name,
            BackingFormat = backing is { } b ? (b.Format == ImageFormat.Raw ? "raw" : "qcow2") : null,
        };
        byte[] first = header.Encode();
        byte[] table = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(table, Block);
        byte[] counts = new byte[clusters * 2];
        for (int i = 0; i < clusters; i++)
        {
            BinaryPrimitives.WriteUInt16BigEndian(counts.AsSpan(i * 2), 1);
        }

        SafeFileHandle file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        try
        {
            RandomAccess.SetLength(file, clusters << ClusterBits);
            RandomAccess.Write(file, first, 0);
            RandomAccess.Write(file, table, Table);
            RandomAccess.Write(file, counts, Block);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
