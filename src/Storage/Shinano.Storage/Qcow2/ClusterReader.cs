using System.Buffers;

namespace Shinano.Storage.Qcow2;

/// <summary>Finds and reads clusters, those of the backing file as well.</summary>
internal sealed class ClusterReader(ImageState state, IBlockImage? backing)
{
    private readonly Qcow2Layout _layout = state.Layout;

    /// <summary>What clusters without an entry read as; null for zeroes. Changed with all guest clusters locked exclusively.</summary>
    public IBlockImage? Backing { get; set; } = backing;

    /// <summary>What lies at a guest offset. The gate is held.</summary>
    /// <param name="most">Bytes to look at.</param>
    public ClusterRun Resolve(long offset, long most)
    {
        long cluster = offset >> _layout.ClusterBits;
        long inside = offset & (_layout.ClusterSize - 1);
        long end = Math.Min(offset + most, (offset / _layout.BytesPerTable * _layout.BytesPerTable) + _layout.BytesPerTable);
        if (state.Map.TableOf(cluster) is not { } table)
        {
            return new ClusterRun(new ClusterEntry(ClusterKind.Unallocated, 0, false), 0, end - offset);
        }

        ClusterEntry first = state.Map.Decode(table, cluster);
        long reach = (cluster + 1) << _layout.ClusterBits;
        if (first.Kind != ClusterKind.Compressed)
        {
            long host = first.HostOffset;
            while (reach < end)
            {
                ClusterEntry next = state.Map.Decode(table, reach >> _layout.ClusterBits);
                host += _layout.ClusterSize;
                if (next.Kind != first.Kind || (first.Kind == ClusterKind.Data && (next.HostOffset != host || next.IsCopied != first.IsCopied)))
                {
                    break;
                }

                reach += _layout.ClusterSize;
            }
        }

        return new ClusterRun(first, first.HostOffset + inside, Math.Min(reach, end) - offset);
    }

    /// <summary>Reads guest bytes whose range is locked.</summary>
    public async ValueTask ReadAsync(long offset, BufferList destination, CancellationToken cancellationToken)
    {
        while (!destination.IsEmpty)
        {
            ClusterRun run;
            lock (state.Gate)
            {
                run = Resolve(offset, destination.Length);
            }

            BufferList part = destination.Slice(0, (int)run.Length);
            switch (run.Entry.Kind)
            {
                case ClusterKind.Unallocated:
                    await ReadBackingAsync(offset, part, cancellationToken).ConfigureAwait(false);
                    break;
                case ClusterKind.Zero:
                    part.Clear();
                    break;
                case ClusterKind.Data:
                    await state.File.ReadAsync(run.HostOffset, part).ConfigureAwait(false);
                    break;
                default:
                    await ReadCompressedAsync(run.Entry, (int)(offset & (_layout.ClusterSize - 1)), part).ConfigureAwait(false);
                    break;
            }

            offset += part.Length;
            destination = destination.Slice(part.Length);
        }
    }

    /// <summary>Unpacks a cluster and copies a part of it. The guest cluster's range is locked.</summary>
    /// <exception cref="InvalidImageException">The bytes are no compressed cluster.</exception>
    private async ValueTask ReadCompressedAsync(ClusterEntry entry, int inside, BufferList destination)
    {
        byte[] packed = ArrayPool<byte>.Shared.Rent(entry.CompressedLength);
        byte[] cluster = ArrayPool<byte>.Shared.Rent(_layout.ClusterSize);
        try
        {
            await state.File.ReadAsync(entry.HostOffset, new BufferList(packed.AsMemory(0, entry.CompressedLength))).ConfigureAwait(false);

            // It takes long enough for other requests to be served meanwhile.
            bool isGood = false;
            await BlockingCalls.RunAsync(() => isGood = ClusterCodec.TryUnpack(
                state.Header.Compression, packed, entry.CompressedLength, cluster.AsSpan(0, _layout.ClusterSize))).ConfigureAwait(false);
            if (!isGood)
            {
                throw state.File.Invalid($"the compressed cluster at 0x{entry.HostOffset:x} cannot be unpacked");
            }

            destination.CopyFrom(cluster.AsSpan(inside, destination.Length));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(packed);
            ArrayPool<byte>.Shared.Return(cluster);
        }
    }

    private async ValueTask ReadBackingAsync(long offset, BufferList destination, CancellationToken cancellationToken)
    {
        long there = Backing is null ? 0 : Math.Clamp(Backing.Length - offset, 0, destination.Length);
        if (there > 0)
        {
            await Backing!.ReadAsync(offset, destination.Slice(0, (int)there), cancellationToken).ConfigureAwait(false);
        }

        destination.Slice((int)there).Clear();
    }
}
