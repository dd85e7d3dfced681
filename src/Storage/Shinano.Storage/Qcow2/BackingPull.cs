using System.Buffers;

namespace Shinano.Storage.Qcow2;

/// <summary>Copies clusters from the layers below an image into it, a piece at a time.</summary>
/// <param name="layers">How many layers below count.</param>
/// <param name="compress">Whole clusters become compressed ones.</param>
internal sealed class BackingPull(Qcow2Image image, ClusterReader reader, ClusterWriter writer, ClusterPlacer placer, int layers, bool compress)
{
    private const int Piece = 1 << 20;

    private readonly ImageState _state = image.State;
    private readonly Qcow2Layout _layout = image.State.Layout;

    /// <summary>Nothing of the backing file is left afterwards: what reads as zeroes needs no entry.</summary>
    private bool IsWhole => layers == int.MaxValue;

    private int Depth => IsWhole ? int.MaxValue : layers + 1;

    /// <summary>Passes over what needs no copying, without a lock: what it relies on does not change while there is a backing file.</summary>
    /// <returns>The first byte that may need it; <paramref name="offset"/> itself, or the start of a cluster.</returns>
    public long Skip(long offset)
    {
        ImageExtent own = image.Extent(offset, 1);
        if (own.Kind != ExtentKind.Below)
        {
            return own.End;
        }

        ImageExtent all = image.Extent(offset, Depth);
        return NeedsNothing(all.Kind) ? WholeClusters(offset, Math.Min(own.End, all.End)) : offset;
    }

    /// <summary>Where a piece that begins at an offset ends; it lies in one L2 table.</summary>
    public long PieceEnd(long offset)
    {
        int piece = Math.Max(Piece, _layout.ClusterSize);
        long table = (offset / _layout.BytesPerTable * _layout.BytesPerTable) + _layout.BytesPerTable;
        return Math.Min(Math.Min(offset + piece - (offset % piece), table), image.Length);
    }

    /// <summary>Copies a piece whose range is locked exclusively.</summary>
    /// <returns>Bytes written.</returns>
    public async ValueTask<int> RunAsync(long offset, long end, CancellationToken cancellationToken)
    {
        int copied = 0;
        while (offset < end)
        {
            // Written since it was looked at without the lock, perhaps.
            ImageExtent own = image.Extent(offset, 1);
            if (own.Kind != ExtentKind.Below)
            {
                offset = own.End;
                continue;
            }

            long stop = Math.Min(own.End, end);
            ImageExtent all = image.Extent(offset, Depth);
            long whole = WholeClusters(offset, Math.Min(stop, all.End));
            if (all.Kind != ExtentKind.Data && whole > offset)
            {
                if (!NeedsNothing(all.Kind))
                {
                    await HideAsync(offset, whole, cancellationToken).ConfigureAwait(false);
                }

                offset = whole;
                continue;
            }

            // Whole clusters of this image: a part of one may be of a deeper layer, and reads right all the same.
            long next = Math.Min(stop, _layout.ClustersOf(Math.Max(all.End, offset + 1)) << _layout.ClusterBits);
            copied += await CopyAsync(offset, (int)(next - offset), cancellationToken).ConfigureAwait(false);
            offset = next;
        }

        return copied;
    }

    private bool NeedsNothing(ExtentKind kind) => kind == ExtentKind.Below || (kind == ExtentKind.Zero && IsWhole);

    /// <summary>The end of the last cluster that ends before an offset or at it; the disk's end counts as one.</summary>
    private long WholeClusters(long offset, long end) => end >= image.Length ? end : Math.Max(offset, end >> _layout.ClusterBits << _layout.ClusterBits);

    private async ValueTask<int> CopyAsync(long offset, int count, CancellationToken cancellationToken)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(count);
        try
        {
            Memory<byte> data = buffer.AsMemory(0, count);
            await reader.ReadAsync(offset, new BufferList(data), cancellationToken).ConfigureAwait(false);
            int copied = 0;
            for (int at = 0; at < count;)
            {
                int end = at + RunOf(data.Span[at..], out bool isZero);
                if (!isZero)
                {
                    await WriteAsync(offset + at, data[at..end], cancellationToken).ConfigureAwait(false);
                    copied += end - at;
                }
                else if (!IsWhole)
                {
                    await HideAsync(offset + at, offset + end, cancellationToken).ConfigureAwait(false);
                }

                at = end;
            }

            return copied;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>How many bytes of whole clusters, the disk's last one included, are all of zeroes or are all not.</summary>
    private int RunOf(ReadOnlySpan<byte> data, out bool isZero)
    {
        isZero = IsZero(data, 0);
        int end = _layout.ClusterSize;
        while (end < data.Length && IsZero(data, end) == isZero)
        {
            end += _layout.ClusterSize;
        }

        return Math.Min(end, data.Length);
    }

    private bool IsZero(ReadOnlySpan<byte> data, int at) => data[at..Math.Min(at + _layout.ClusterSize, data.Length)].IndexOfAnyExcept((byte)0) < 0;

    private async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        for (; compress && data.Length >= _layout.ClusterSize; data = data[_layout.ClusterSize..])
        {
            await writer.WriteCompressedAsync(offset, data[.._layout.ClusterSize], cancellationToken).ConfigureAwait(false);
            offset += _layout.ClusterSize;
        }

        if (!data.IsEmpty)
        {
            await writer.WriteAsync(offset, BufferList.Of(data), cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Makes clusters zeroes of this image's own: they hide what is deeper.</summary>
    private async ValueTask HideAsync(long offset, long end, CancellationToken cancellationToken)
    {
        bool done;
        lock (_state.Gate)
        {
            done = placer.Erase(offset >> _layout.ClusterBits, _layout.ClustersOf(end), mayUnmap: true, hasBacking: true);
        }

        if (!done)
        {
            // Version 2 has no zeroes of its own.
            await writer.WriteAsync(offset, new BufferList(new byte[end - offset]), cancellationToken).ConfigureAwait(false);
        }
    }
}
