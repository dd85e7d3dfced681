using System.IO.Compression;
using ZstdSharp;

namespace Shinano.Storage.Qcow2;

/// <summary>Compressed clusters: deflate without a header, or one zstd frame (qcow2.txt: compression_type). The packed bytes are hostile.</summary>
internal static class ClusterCodec
{
    /// <summary>Unpacks exactly one cluster; what follows it in <paramref name="packed"/> is not looked at.</summary>
    /// <returns>False when the bytes are not such data.</returns>
    public static bool TryUnpack(byte compression, byte[] packed, int length, Span<byte> cluster)
    {
        using MemoryStream source = new(packed, 0, length, writable: false);
        try
        {
            using Stream unpacked = compression == 0
                ? new DeflateStream(source, CompressionMode.Decompress)
                : new DecompressionStream(source, bufferSize: 0, checkEndOfStream: false);
            return unpacked.ReadAtLeast(cluster, cluster.Length, throwOnEndOfStream: false) == cluster.Length;
        }
        catch (Exception e) when (e is InvalidDataException or ZstdException or EndOfStreamException)
        {
            return false;
        }
    }

    /// <summary>Packs a cluster with zstd. Not with deflate: QEMU unpacks that with a window of 4 KiB, and .NET cannot write such streams.</summary>
    /// <returns>Null when that does not make it smaller.</returns>
    public static byte[]? Pack(ReadOnlySpan<byte> cluster)
    {
        using Compressor compressor = new(3);
        byte[] packed = compressor.Wrap(cluster).ToArray();
        return packed.Length < cluster.Length - BlockRange.SectorSize ? packed : null;
    }
}
