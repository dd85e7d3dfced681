using System.Diagnostics;
using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Pools;

/// <summary>Copies what a disk holds, and leaves out what reads as zeroes.</summary>
internal static class ImageCopy
{
    private const int Piece = 1 << 20;

    /// <summary>Copies into an image that reads as zeroes.</summary>
    public static async Task CopyAsync(IBlockImage source, IBlockImage target, bool compress, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[Piece];
        foreach (ImageExtent extent in ImageExtents.Of(source))
        {
            progress?.Report(new TransferProgress(extent.Offset, source.Length));
            for (long at = extent.Offset; extent.Kind == ExtentKind.Data && at < extent.End;)
            {
                // Pieces end at multiples of their size, so that whole clusters can be compressed.
                int count = (int)Math.Min(extent.End - at, Piece - (at % Piece));
                Memory<byte> data = buffer.AsMemory(0, count);
                await source.ReadAsync(at, data, cancellationToken).ConfigureAwait(false);
                await WriteAsync(target, at, data, compress, cancellationToken).ConfigureAwait(false);
                at += count;
                progress?.Report(new TransferProgress(at, source.Length));
            }
        }

        await target.FlushAsync(cancellationToken).ConfigureAwait(false);
        progress?.Report(new TransferProgress(source.Length, source.Length));
    }

    /// <summary>Makes a layer hold what it reads from a number of layers below it. Others may use the image meanwhile, unless it compresses.</summary>
    /// <param name="image">Opened for writing.</param>
    /// <param name="layers">How many below it; what lies deeper is not copied.</param>
    /// <param name="pace">Called with the time that a piece took, before the next one: holds the copying back.</param>
    public static async Task PullAsync(
        Qcow2Image image, int layers, bool compress, Func<TimeSpan, ValueTask>? pace, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        for (long at = 0; at < image.Length;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            progress?.Report(new TransferProgress(at, image.Length));
            long start = Stopwatch.GetTimestamp();
            (at, int copied) = await image.PullAsync(at, layers, compress, cancellationToken).ConfigureAwait(false);
            if (pace is not null && copied > 0)
            {
                await pace(Stopwatch.GetElapsedTime(start)).ConfigureAwait(false);
            }
        }

        await image.FlushAsync(cancellationToken).ConfigureAwait(false);
        progress?.Report(new TransferProgress(image.Length, image.Length));
    }

    private static async Task WriteAsync(IBlockImage target, long offset, Memory<byte> data, bool compress, CancellationToken cancellationToken)
    {
        int cluster = target is Qcow2Image qcow2 ? qcow2.ClusterSize : 64 << 10;
        while (!data.IsEmpty)
        {
            int count = (int)Math.Min(data.Length, cluster - (offset % cluster));
            bool zero = data.Span[..count].IndexOfAnyExcept((byte)0) < 0;
            if (!zero && compress && count == cluster)
            {
                await ((Qcow2Image)target).WriteCompressedAsync(offset, data[..count], cancellationToken).ConfigureAwait(false);
            }
            else if (!zero)
            {
                await target.WriteAsync(offset, data[..count], cancellationToken).ConfigureAwait(false);
            }

            offset += count;
            data = data[count..];
        }
    }
}
