using System.Buffers;

namespace Shinano.Storage.Qcow2;

/// <summary>A qcow2 image, version 2 or 3, with its backing chain (QEMU docs/interop/qcow2.txt). Everything in the file is checked before it is used.</summary>
/// <remarks>docs/design/storage.md tells the order of writes. Internal snapshots are kept, and make an image read-only.</remarks>
public sealed class Qcow2Image : IBlockImage
{
    private const int MostAllocation = 2 << 20;

    private readonly ImageState _state;
    private readonly Qcow2Layout _layout;
    private readonly ClusterRangeLock _ranges = new();
    private readonly ClusterReader _reader;
    private readonly ClusterPlacer _placer;
    private long _length;
    private int _disposed;

    internal Qcow2Image(ImageState state, IBlockImage? backing, string path, bool readOnly)
    {
        (_state, _layout, Backing, Path, IsReadOnly) = (state, state.Layout, backing, path, readOnly);
        _length = state.Header.Size / BlockRange.SectorSize * BlockRange.SectorSize;
        _reader = new ClusterReader(state);
        _placer = new ClusterPlacer(state);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>What clusters that were never written read as; null for zeroes.</summary>
    public IBlockImage? Backing { get; private set; }

    /// <inheritdoc/>
    public long Length => Interlocked.Read(ref _length);

    /// <inheritdoc/>
    public int SectorSize => BlockRange.SectorSize;

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <summary>Bytes of a cluster.</summary>
    public int ClusterSize => _layout.ClusterSize;

    internal ImageState State => _state;

    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, BufferList destination, CancellationToken cancellationToken = default)
    {
        BlockRange.Check(this, offset, destination.Length);
        if (destination.IsEmpty)
        {
            return;
        }

        using ClusterRangeLock.Holder range = await LockAsync(offset, destination.Length, exclusive: false).ConfigureAwait(false);
        await ReadLockedAsync(offset, destination, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync(long offset, BufferList source, CancellationToken cancellationToken = default)
    {
        BlockRange.CheckWritable(this);
        BlockRange.Check(this, offset, source.Length);
        await RelieveAsync().ConfigureAwait(false);
        if (!source.IsEmpty)
        {
            using ClusterRangeLock.Holder range = await LockAsync(offset, source.Length, exclusive: false).ConfigureAwait(false);
            int done = await WriteInPlaceAsync(offset, source).ConfigureAwait(false);
            offset += done;
            source = source.Slice(done);
        }

        while (!source.IsEmpty)
        {
            await RelieveAsync().ConfigureAwait(false);
            int part = (int)Math.Min(source.Length, MostAllocation - (offset & (_layout.ClusterSize - 1)));
            part = (int)Math.Min(part, _layout.BytesPerTable - (offset % _layout.BytesPerTable));
            using (await LockAsync(offset, part, exclusive: true).ConfigureAwait(false))
            {
                await WriteLockedAsync(offset, source.Slice(0, part), cancellationToken).ConfigureAwait(false);
            }

            offset += part;
            source = source.Slice(part);
        }
    }

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(long offset, long count, bool mayUnmap, CancellationToken cancellationToken = default)
    {
        BlockRange.CheckWritable(this);
        BlockRange.Check(this, offset, count);
        return EraseAsync(offset, count, mayUnmap, exact: true, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long count, CancellationToken cancellationToken = default)
    {
        BlockRange.CheckWritable(this);
        BlockRange.Check(this, offset, count);
        return EraseAsync(offset, count, mayUnmap: true, exact: false, cancellationToken);
    }

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        if (!IsReadOnly)
        {
            await _state.FlushAsync().ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask ResizeAsync(long length, CancellationToken cancellationToken = default)
    {
        BlockRange.CheckWritable(this);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(length % BlockRange.SectorSize, 0);
        long old = Length;
        if (length < old)
        {
            throw new NotSupportedException($"'{Path}' has {old} bytes; a qcow2 image can only grow");
        }

        long entries = _layout.TablesOf(length);
        if (entries * 8 > Qcow2Layout.MostL1Bytes)
        {
            throw new IOException($"'{Path}': a disk of {length} bytes needs an L1 table of more than 32 MiB");
        }

        await _state.GrowL1Async((int)entries).ConfigureAwait(false);
        Interlocked.Exchange(ref _length, length);
        try
        {
            if (Backing is not null && Backing.Length > old)
            {
                // The backing file's bytes behind the old end were never this disk's.
                await EraseAsync(old, Math.Min(length, Backing.Length) - old, mayUnmap: true, exact: true, cancellationToken).ConfigureAwait(false);
                await FlushAsync(cancellationToken).ConfigureAwait(false);
            }

            lock (_state.Gate)
            {
                _state.Rewrite(_state.Header with { Size = length });
            }
        }
        catch
        {
            Interlocked.Exchange(ref _length, old);
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        try
        {
            // Twice: what the first one frees is counted in the second.
            await FlushAsync().ConfigureAwait(false);
            await FlushAsync().ConfigureAwait(false);
        }
        catch (IOException)
        {
            // Nobody was promised what was not flushed; a caller that cares flushes first and hears of it.
        }
        finally
        {
            _state.File.Dispose();
            if (Backing is not null)
            {
                await Backing.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    /// <summary>What lies at a place, looking through a number of layers: where it ends, and whether it is data, zeroes, or of a deeper layer.</summary>
    /// <param name="layers">How many images count, this one included; deeper ones are <see cref="ExtentKind.Below"/>.</param>
    internal ImageExtent Extent(long offset, int layers)
    {
        long end = Math.Min(Length, (offset / _layout.BytesPerTable * _layout.BytesPerTable) + _layout.BytesPerTable);
        ExtentKind kind;
        long reach;
        lock (_state.Gate)
        {
            long cluster = offset >> _layout.ClusterBits;
            if (_state.Map.TableOf(cluster) is not { } table)
            {
                (kind, reach) = (ExtentKind.Below, end);
            }
            else
            {
                kind = KindOf(_state.Map.Decode(table, cluster));
                do
                {
                    cluster++;
                    reach = Math.Min(end, cluster << _layout.ClusterBits);
                }
                while (reach < end && KindOf(_state.Map.Decode(table, cluster)) == kind);
            }
        }

        if (kind != ExtentKind.Below || (layers <= 1 && Backing is not null))
        {
            return new ImageExtent(offset, reach - offset, kind);
        }

        if (Backing is null || offset >= Backing.Length)
        {
            return new ImageExtent(offset, reach - offset, layers <= 1 && Backing is not null ? ExtentKind.Below : ExtentKind.Zero);
        }

        ImageExtent deeper = ImageExtents.At(Backing, offset, layers - 1);
        return deeper with { Length = Math.Min(deeper.Length, reach - offset) };
    }

    /// <summary>Writes one whole cluster compressed, where that makes it smaller. No other writer may be at work.</summary>
    internal async ValueTask WriteCompressedAsync(long offset, ReadOnlyMemory<byte> cluster, CancellationToken cancellationToken)
    {
        if (_state.Header.Compression != 1 || ClusterCodec.Pack(cluster.Span) is not { } packed)
        {
            await WriteAsync(offset, BufferList.Of(cluster), cancellationToken).ConfigureAwait(false);
            return;
        }

        await RelieveAsync().ConfigureAwait(false);
        using ClusterRangeLock.Holder range = await LockAsync(offset, cluster.Length, exclusive: true).ConfigureAwait(false);
        long place;
        lock (_state.Gate)
        {
            place = _placer.PlaceCompressed(packed.Length);
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

    /// <summary>Makes another file the backing file of this image, or none; the caller knows that the disk's contents stay the same.</summary>
    internal async ValueTask RebaseAsync(string? name, string? format, IBlockImage? backing)
    {
        await FlushAsync().ConfigureAwait(false);
        IBlockImage? old = Backing;
        lock (_state.Gate)
        {
            _state.Rewrite(_state.Header with { BackingFile = name, BackingFormat = format });
            Backing = backing;
        }

        if (old is not null && old != backing)
        {
            await old.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static ExtentKind KindOf(ClusterEntry entry) => entry.Kind switch
    {
        ClusterKind.Unallocated => ExtentKind.Below,
        ClusterKind.Zero => ExtentKind.Zero,
        _ => ExtentKind.Data,
    };

    private ValueTask<ClusterRangeLock.Holder> LockAsync(long offset, long count, bool exclusive) =>
        _ranges.AcquireAsync(offset >> _layout.ClusterBits, (offset + count - 1) >> _layout.ClusterBits, exclusive);

    /// <summary>Writes back when too much is in memory only.</summary>
    private async ValueTask RelieveAsync()
    {
        bool pressed;
        lock (_state.Gate)
        {
            _state.File.ThrowIfLost();
            pressed = _state.IsPressed;
        }

        if (pressed)
        {
            await _state.FlushAsync().ConfigureAwait(false);
        }
    }

    private async ValueTask ReadLockedAsync(long offset, BufferList destination, CancellationToken cancellationToken)
    {
        while (!destination.IsEmpty)
        {
            ClusterRun run;
            lock (_state.Gate)
            {
                run = _reader.Resolve(offset, destination.Length);
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
                    await _state.File.ReadAsync(run.HostOffset, part).ConfigureAwait(false);
                    break;
                default:
                    await _reader.ReadCompressedAsync(run.Entry, (int)(offset & (_layout.ClusterSize - 1)), part).ConfigureAwait(false);
                    break;
            }

            offset += part.Length;
            destination = destination.Slice(part.Length);
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

    /// <summary>Writes as long as the clusters have places of their own.</summary>
    /// <returns>Bytes written.</returns>
    private async ValueTask<int> WriteInPlaceAsync(long offset, BufferList source)
    {
        int done = 0;
        while (done < source.Length)
        {
            ClusterRun run;
            lock (_state.Gate)
            {
                run = _reader.Resolve(offset + done, source.Length - done);
                if (run.Entry.Kind == ClusterKind.Data)
                {
                    _placer.CheckWritable(run);
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

    private async ValueTask WriteLockedAsync(long offset, BufferList source, CancellationToken cancellationToken)
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

    /// <summary>Writes into clusters that get new places, as many as lie side by side in the file.</summary>
    /// <returns>Bytes written.</returns>
    private async ValueTask<int> WriteNewAsync(long offset, BufferList source, CancellationToken cancellationToken)
    {
        NewClusters place;
        lock (_state.Gate)
        {
            place = _placer.Place(offset, source.Length);
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
                _placer.Abandon(place);
            }

            throw;
        }

        _state.NoteData();
        lock (_state.Gate)
        {
            _placer.Commit(place);
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
            at = Math.Min(at, Length - 1) & -BlockRange.SectorSize;
            long start = at >> _layout.ClusterBits << _layout.ClusterBits;
            ImageExtent extent = Extent(start, int.MaxValue);
            return extent.Kind == ExtentKind.Zero && extent.End >= Math.Min(start + _layout.ClusterSize, Length);
        }
    }

    /// <summary>Reads a part of a cluster; what lies behind the disk's end is zeroes.</summary>
    private async ValueTask ReadForCopyAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        int inside = (int)Math.Clamp(Length - offset, 0, destination.Length);
        await ReadLockedAsync(offset, new BufferList(destination[..inside]), cancellationToken).ConfigureAwait(false);
        destination[inside..].Span.Clear();
    }

    /// <summary>Makes whole clusters unallocated or zero in the tables; the rest is written (exact) or left.</summary>
    private async ValueTask EraseAsync(long offset, long count, bool mayUnmap, bool exact, CancellationToken cancellationToken)
    {
        long end = offset + count;
        while (offset < end)
        {
            cancellationToken.ThrowIfCancellationRequested();
            await RelieveAsync().ConfigureAwait(false);
            long next = Math.Min(end, (offset / _layout.BytesPerTable * _layout.BytesPerTable) + _layout.BytesPerTable);
            long first = _layout.ClustersOf(offset);

            // The disk's last cluster counts as whole when all of it that is on the disk is erased.
            long last = next >= Length ? _layout.ClustersOf(next) : next >> _layout.ClusterBits;
            if (first >= last)
            {
                await WriteZeroBytesAsync(offset, next, exact, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                await WriteZeroBytesAsync(offset, first << _layout.ClusterBits, exact, cancellationToken).ConfigureAwait(false);
                bool done;
                using (await _ranges.AcquireAsync(first, last - 1, exclusive: true).ConfigureAwait(false))
                {
                    lock (_state.Gate)
                    {
                        done = _placer.Erase(first, last, mayUnmap, Backing is not null);
                    }
                }

                long bare = done ? Math.Min(next, last << _layout.ClusterBits) : first << _layout.ClusterBits;
                await WriteZeroBytesAsync(bare, next, exact, cancellationToken).ConfigureAwait(false);
            }

            offset = next;
        }
    }

    private async ValueTask WriteZeroBytesAsync(long offset, long end, bool exact, CancellationToken cancellationToken)
    {
        while (exact && offset < end)
        {
            ImageExtent extent = Extent(offset, int.MaxValue);
            int part = (int)Math.Min(Math.Min(extent.Length, end - offset), 1 << 20);
            if (extent.Kind != ExtentKind.Zero)
            {
                await WriteAsync(offset, new BufferList(new byte[part]), cancellationToken).ConfigureAwait(false);
            }

            offset += part;
        }
    }
}
