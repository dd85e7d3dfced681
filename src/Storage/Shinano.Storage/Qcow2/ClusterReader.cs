using System.Buffers;

namespace Shinano.Storage.Qcow2;

/// <summary>Finds and reads clusters.</summary>
internal sealed class ClusterReader(ImageState state)
{
    private readonly Qcow2Layout _layout = state.Layout;

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

    /// <summary>Unpacks a cluster and copies a part of it. The guest cluster's range is locked.</summary>
    /// <exception cref="InvalidImageException">The bytes are no compressed cluster.</exception>
    public async ValueTask ReadCompressedAsync(ClusterEntry entry, int inside, BufferList destination)
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
}
