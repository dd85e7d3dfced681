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
    private readonly ClusterWriter _writer;
    private long _length;
    private int _disposed;

    internal Qcow2Image(ImageState state, IBlockImage? backing, string path, bool readOnly)
    {
        (_state, _layout, Path, IsReadOnly) = (state, state.Layout, path, readOnly);
        _length = state.Header.Size / BlockRange.SectorSize * BlockRange.SectorSize;
        _reader = new ClusterReader(state, backing);
        _placer = new ClusterPlacer(state);
        _writer = new ClusterWriter(this, _reader, _placer);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>What clusters that were never written read as; null for zeroes.</summary>
    public IBlockImage? Backing => _reader.Backing;

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
        await _reader.ReadAsync(offset, destination, cancellationToken).ConfigureAwait(false);
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
            int done = await _writer.WriteInPlaceAsync(offset, source).ConfigureAwait(false);
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
                await _writer.WriteAsync(offset, source.Slice(0, part), cancellationToken).ConfigureAwait(false);
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
            if (Backing is { } backing && backing.Length > old)
            {
                // The backing file's bytes behind the old end were never this disk's.
                await EraseAsync(old, Math.Min(length, backing.Length) - old, mayUnmap: true, exact: true, cancellationToken).ConfigureAwait(false);
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

        if (Backing is not { } backing || offset >= backing.Length)
        {
            return new ImageExtent(offset, reach - offset, ExtentKind.Zero);
        }

        ImageExtent deeper = ImageExtents.At(backing, offset, layers - 1);
        return deeper with { Length = Math.Min(deeper.Length, reach - offset) };
    }

    /// <summary>Writes one whole cluster compressed, where that makes it smaller. No other writer may be at work.</summary>
    internal async ValueTask WriteCompressedAsync(long offset, ReadOnlyMemory<byte> cluster, CancellationToken cancellationToken)
    {
        await RelieveAsync().ConfigureAwait(false);
        using ClusterRangeLock.Holder range = await LockAsync(offset, cluster.Length, exclusive: true).ConfigureAwait(false);
        await _writer.WriteCompressedAsync(offset, cluster, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Gives clusters that have no entry here what they read from layers below, while others use the image: no write comes between the reading and the new entry, and a cluster
    /// that has an entry keeps it. As long as there is a backing file an entry never goes away again, so one pass from the first byte to the last is enough.
    /// </summary>
    /// <param name="offset">Where to begin.</param>
    /// <param name="layers">How many layers below count; what lies deeper is not copied. <see cref="int.MaxValue"/> for all of them.</param>
    /// <param name="compress">Whole clusters become compressed ones; no other writer may be at work.</param>
    /// <returns>Where to go on, and how many bytes were written: 1 MiB or one cluster at most.</returns>
    internal async ValueTask<(long Next, int Copied)> PullAsync(long offset, int layers, bool compress, CancellationToken cancellationToken)
    {
        BackingPull pull = new(this, _reader, _writer, _placer, layers, compress);
        if (pull.Skip(offset) is var next && next > offset)
        {
            return (next, 0);
        }

        await RelieveAsync().ConfigureAwait(false);
        long end = pull.PieceEnd(offset);
        using ClusterRangeLock.Holder range = await LockAsync(offset, end - offset, exclusive: true).ConfigureAwait(false);
        return (end, await pull.RunAsync(offset, end, cancellationToken).ConfigureAwait(false));
    }

    /// <summary>
    /// Makes another file the backing file of this image, or none; the caller knows that the disk's contents stay the same. Requests wait for the header, which is written
    /// when all that was written before is durable.
    /// </summary>
    /// <param name="backing">That file; it belongs to this image from now on, also after a failure.</param>
    internal async ValueTask RebaseAsync(string? name, string? format, IBlockImage? backing)
    {
        IBlockImage? unused = backing;
        try
        {
            // Most is written before the others have to wait.
            await FlushAsync().ConfigureAwait(false);
            using (await _ranges.AcquireAsync(0, long.MaxValue, exclusive: true).ConfigureAwait(false))
            {
                await FlushAsync().ConfigureAwait(false);
                lock (_state.Gate)
                {
                    _state.Rewrite(_state.Header with { BackingFile = name, BackingFormat = format });
                    (unused, _reader.Backing) = (_reader.Backing, backing);
                }
            }
        }
        finally
        {
            if (unused is not null)
            {
                await unused.DisposeAsync().ConfigureAwait(false);
            }
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
            ImageExtent extent;
            using (await LockAsync(offset, end - offset, exclusive: false).ConfigureAwait(false))
            {
                // Locked: the layers below may go away.
                extent = Extent(offset, int.MaxValue);
            }

            int part = (int)Math.Min(Math.Min(extent.Length, end - offset), 1 << 20);
            if (extent.Kind != ExtentKind.Zero)
            {
                await WriteAsync(offset, new BufferList(new byte[part]), cancellationToken).ConfigureAwait(false);
            }

            offset += part;
        }
    }
}
