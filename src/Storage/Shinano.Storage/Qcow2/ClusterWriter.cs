using System.Buffers;

namespace Shinano.Storage.Qcow2;

/// <summary>Writes the guest's data, in place and into new clusters. The range of guest clusters is locked in each call.</summary>
internal sealed class ClusterWriter(Qcow2Image image, ClusterReader reader, ClusterPlacer placer)
{
    private readonly ImageState _state = image.State;
    private readonly Qcow2Layout _layout = image.State.Layout;

    /// <summary>Writes as long as the clusters have places of their own.</summary>
    /// <returns>Bytes written.</returns>
    public async ValueTask<int> WriteInPlaceAsync(long offset, BufferList source)
    {
        int done = 0;
        while (done < source.Length)
        {
            ClusterRun run;
            lock (_state.Gate)
            {
                run = reader.Resolve(offset + done, source.Length - done);
                if (run.Entry.Kind == ClusterKind.Data)
                {
                    placer.CheckWritable(run);
                }
            }

            if (run.Entry.Kind != ClusterKind.Data)
            {
                break;
            }

            await _state.File.WriteAsync(run.HostOffset, source.Slice(done, (int)run.Length)).ConfigureAwait(false);
            _state.NoteData();
            done += (int)run.Length;
        }

        return done;
    }

    /// <summary>Writes guest bytes of one L2 table; their range is locked exclusively.</summary>
    public async ValueTask WriteAsync(long offset, BufferList source, CancellationToken cancellationToken)
    {
        while (!source.IsEmpty)
        {
            // Another may have given the clusters places meanwhile.
            int done = await WriteInPlaceAsync(offset, source).ConfigureAwait(false);
            offset += done;
            source = source.Slice(done);
            if (!source.IsEmpty)
            {
                done = await WriteNewAsync(offset, source, cancellationToken).ConfigureAwait(false);
                offset += done;
                source = source.Slice(done);
            }
        }
    }

    /// <summary>Writes one whole cluster compressed, where that makes it smaller. No other writer may be at work: a shared host cluster has no lock of its own.</summary>
    public async ValueTask WriteCompressedAsync(long offset, ReadOnlyMemory<byte> cluster, CancellationToken cancellationToken)
    {
        if (_state.Header.Compression != 1 || ClusterCodec.Pack(cluster.Span) is not { } packed)
        {
            await WriteAsync(offset, BufferList.Of(cluster), cancellationToken).ConfigureAwait(false);
            return;
        }

        long place;
        lock (_state.Gate)
        {
            place = placer.PlaceCompressed(packed.Length);
        }

        await _state.File.WriteAsync(place, BufferList.Of(packed)).ConfigureAwait(false);
        _state.NoteData();
        lock (_state.Gate)
        {
            MetadataTable table = _state.Map.TableForChange(offset >> _layout.ClusterBits, _state.Refcounts);
            _state.FreeLater(_state.Map.Decode(table, offset >> _layout.ClusterBits));
            _state.Map.Set(table, offset >> _layout.ClusterBits, ClusterEntry.EncodeCompressed(_layout, place, packed.Length));
        }
    }

    /// <summary>Writes into clusters that get new places, as many as lie side by side in the file.</summary>
    /// <returns>Bytes written.</returns>
    private async ValueTask<int> WriteNewAsync(long offset, BufferList source, CancellationToken cancellationToken)
    {
        NewClusters place;
        lock (_state.Gate)
        {
            place = placer.Place(offset, source.Length);
        }

        int done = (int)Math.Min(source.Length, place.End - offset);
        try
        {
            await FillAsync(place, offset, source.Slice(0, done), cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            lock (_state.Gate)
            {
                placer.Abandon(place);
            }

            throw;
        }

        _state.NoteData();
        lock (_state.Gate)
        {
            placer.Commit(place);
        }

        return done;
    }

    /// <summary>Writes whole clusters: a part that the guest did not write keeps what it read as before.</summary>
    private async ValueTask FillAsync(NewClusters place, long offset, BufferList source, CancellationToken cancellationToken)
    {
        long before = offset - place.Start;
        long after = place.End - (offset + source.Length);
        bool bare = place.IsFresh && before + after > 0 && IsZeroAround(place, before, after);
        if (before + after == 0 || bare)
        {
            await _state.File.WriteAsync(place.HostOffset + before, source).ConfigureAwait(false);
            return;
        }

        int length = checked((int)(place.End - place.Start));
        byte[] buffer = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            Memory<byte> whole = buffer.AsMemory(0, length);
            await ReadForCopyAsync(place.Start, whole[..(int)before], cancellationToken).ConfigureAwait(false);
            source.CopyTo(whole.Span[(int)before..]);
            await ReadForCopyAsync(offset + source.Length, whole[^(int)after..], cancellationToken).ConfigureAwait(false);
            await _state.File.WriteAsync(place.HostOffset, new BufferList(whole)).ConfigureAwait(false);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private bool IsZeroAround(NewClusters place, long before, long after)
    {
        return (before == 0 || ReadsAsZero(place.Start)) && (after == 0 || ReadsAsZero(place.End - 1));

        bool ReadsAsZero(long at)
        {
            at = Math.Min(at, image.Length - 1) & -BlockRange.SectorSize;
            long start = at >> _layout.ClusterBits << _layout.ClusterBits;
            ImageExtent extent = image.Extent(start, int.MaxValue);
            return extent.Kind == ExtentKind.Zero && extent.End >= Math.Min(start + _layout.ClusterSize, image.Length);
        }
    }

    /// <summary>Reads a part of a cluster; what lies behind the disk's end is zeroes.</summary>
    private async ValueTask ReadForCopyAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        int inside = (int)Math.Clamp(image.Length - offset, 0, destination.Length);
        await reader.ReadAsync(offset, new BufferList(destination[..inside]), cancellationToken).ConfigureAwait(false);
        destination[inside..].Span.Clear();
    }
}
