using Microsoft.Win32.SafeHandles;
using Shinano.Linux;

namespace Shinano.Storage;

/// <summary>A disk whose bytes are those of a file or a block device. Holes stay holes.</summary>
public sealed class RawImage : IBlockImage
{
    private const int ZeroChunk = 1 << 20;

    private readonly SafeFileHandle _file;
    private readonly FileTransfer _transfer;
    private readonly bool _isDevice;
    private long _length;
    private long _fileLength;
    private volatile IOException? _lost;

    private RawImage(SafeFileHandle file, ImageReference reference, bool isDevice)
    {
        _file = file;
        _transfer = new FileTransfer(file);
        _isDevice = isDevice;
        Path = reference.Path;
        IsReadOnly = reference.ReadOnly;
        _fileLength = isDevice ? FileStorage.GetBlockDeviceLength(file) : RandomAccess.GetLength(file);

        // A last, partial sector is read as if zeroes followed it; a file that may be written is made whole.
        _length = (_fileLength + BlockRange.SectorSize - 1) / BlockRange.SectorSize * BlockRange.SectorSize;
        if (_length != _fileLength && !IsReadOnly)
        {
            RandomAccess.SetLength(file, _length);
            _fileLength = _length;
        }
    }

    /// <summary>The file or device.</summary>
    public string Path { get; }

    /// <inheritdoc/>
    public long Length => Interlocked.Read(ref _length);

    /// <inheritdoc/>
    public int SectorSize => BlockRange.SectorSize;

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <summary>Opens and locks a file or a block device.</summary>
    /// <exception cref="ImageInUseException">It is in use.</exception>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static RawImage Open(ImageReference reference)
    {
        ArgumentNullException.ThrowIfNull(reference);
        SafeFileHandle file = ImageHandle.Open(reference, out bool isDevice);
        try
        {
            return new RawImage(file, reference, isDevice);
        }
        catch
        {
            ImageLock.ReleaseAndClose(file);
            throw;
        }
    }

    /// <summary>Makes a new file of zeroes that takes no space, and opens it.</summary>
    /// <exception cref="IOException">There is such a file already, or it cannot be made.</exception>
    public static RawImage Create(string path, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(length % BlockRange.SectorSize, 0);
        using (SafeFileHandle file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write))
        {
            RandomAccess.SetLength(file, length);
        }

        return Open(new ImageReference(path, ImageFormat.Raw));
    }

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, BufferList destination, CancellationToken cancellationToken = default)
    {
        BlockRange.Check(this, offset, destination.Length);
        cancellationToken.ThrowIfCancellationRequested();

        // Zeroes follow where the file was cut short behind our back, or ends within its last sector.
        return _transfer.ReadAsync(offset, destination);
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(long offset, BufferList source, CancellationToken cancellationToken = default)
    {
        BlockRange.CheckWritable(this);
        BlockRange.Check(this, offset, source.Length);
        cancellationToken.ThrowIfCancellationRequested();
        return _transfer.WriteAsync(offset, source);
    }

    /// <inheritdoc/>
    public async ValueTask WriteZeroesAsync(long offset, long count, bool mayUnmap, CancellationToken cancellationToken = default)
    {
        BlockRange.CheckWritable(this);
        BlockRange.Check(this, offset, count);
        if (count == 0 || await ZeroAsync(offset, count, mayUnmap).ConfigureAwait(false))
        {
            return;
        }

        byte[] zeroes = new byte[Math.Min(count, ZeroChunk)];
        for (long done = 0; done < count; done += zeroes.Length)
        {
            int part = (int)Math.Min(zeroes.Length, count - done);
            cancellationToken.ThrowIfCancellationRequested();
            await _transfer.WriteAsync(offset + done, new BufferList(zeroes.AsMemory(0, part))).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DiscardAsync(long offset, long count, CancellationToken cancellationToken = default)
    {
        BlockRange.CheckWritable(this);
        BlockRange.Check(this, offset, count);
        if (count > 0)
        {
            cancellationToken.ThrowIfCancellationRequested();
            await BlockingCalls.RunAsync(
                () => _ = _isDevice ? FileStorage.TryDiscardDevice(_file, offset, count) : FileStorage.TryPunchHole(_file, offset, count)).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        if (IsReadOnly)
        {
            return;
        }

        if (_lost is { } lost)
        {
            throw new IOException($"an earlier flush failed, and what was written before it may be lost: {lost.Message}", lost);
        }

        try
        {
            await BlockingCalls.RunAsync(() => FileStorage.FlushData(_file)).ConfigureAwait(false);
        }
        catch (IOException e)
        {
            // The kernel reports a lost page once (fsync(2), errors): the next flush would succeed without it.
            _lost = e;
            throw;
        }
    }

    /// <inheritdoc/>
    public ValueTask ResizeAsync(long length, CancellationToken cancellationToken = default)
    {
        BlockRange.CheckWritable(this);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(length % BlockRange.SectorSize, 0);
        if (_isDevice)
        {
            throw new NotSupportedException($"'{Path}' is a block device: its length cannot be changed here");
        }

        RandomAccess.SetLength(_file, length);
        Interlocked.Exchange(ref _length, length);
        Interlocked.Exchange(ref _fileLength, length);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        ImageLock.ReleaseAndClose(_file);
        return ValueTask.CompletedTask;
    }

    /// <summary>The next range, at or after an offset, that may hold other bytes than zeroes; null when there is none.</summary>
    internal (long Start, long End)? FindData(long offset)
    {
        if (offset >= _fileLength)
        {
            return null;
        }

        return _isDevice
            ? (offset, _length)
            : FileStorage.FindData(_file, offset) is { } found ? (Math.Max(found.Start, offset), Math.Min(found.End, _length)) : null;
    }

    private async ValueTask<bool> ZeroAsync(long offset, long count, bool mayUnmap)
    {
        bool done = false;
        await BlockingCalls.RunAsync(() => done = TryZero(offset, count, mayUnmap)).ConfigureAwait(false);
        return done;
    }

    private bool TryZero(long offset, long count, bool mayUnmap)
    {
        if (_isDevice)
        {
            return FileStorage.TryZeroDevice(_file, offset, count);
        }

        return (mayUnmap && FileStorage.TryPunchHole(_file, offset, count)) || FileStorage.TryZeroRange(_file, offset, count);
    }
}
