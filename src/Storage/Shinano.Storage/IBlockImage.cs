namespace Shinano.Storage;

/// <summary>The contents of a disk: what block devices read and write, whatever keeps it.</summary>
/// <remarks>
/// Thread-safe. What the host's memory has or takes is read and written on the calling thread; what must be waited for is waited for elsewhere. Offsets and counts are bytes, multiples of <see cref="SectorSize"/>, inside <see cref="Length"/>; others are
/// <see cref="ArgumentException"/>. A call that fails with <see cref="IOException"/> may have been carried out in part. Of overlapping calls
/// in flight at once, each byte is that of one of them. Buffers belong to the image until the call is done.
/// </remarks>
public interface IBlockImage : IAsyncDisposable
{
    /// <summary>Bytes, a multiple of <see cref="SectorSize"/>.</summary>
    long Length { get; }

    /// <summary>The logical sector size in bytes: 512.</summary>
    int SectorSize { get; }

    /// <summary>Writes, discards and resizes are refused with <see cref="IOException"/>.</summary>
    bool IsReadOnly { get; }

    /// <summary>Reads a range; may run in parallel with others.</summary>
    /// <exception cref="IOException">The host's error.</exception>
    /// <exception cref="InvalidImageException">The image's tables are wrong for this range.</exception>
    ValueTask ReadAsync(long offset, BufferList destination, CancellationToken cancellationToken = default);

    /// <summary>Writes a range. Durable after the next <see cref="FlushAsync"/> that begins after it has returned.</summary>
    /// <exception cref="IOException">The host's error, no space above all.</exception>
    ValueTask WriteAsync(long offset, BufferList source, CancellationToken cancellationToken = default);

    /// <summary>Makes a range read as zeroes.</summary>
    /// <param name="mayUnmap">The space may be given back; otherwise it stays reserved where the image can reserve.</param>
    /// <exception cref="IOException">The host's error.</exception>
    ValueTask WriteZeroesAsync(long offset, long count, bool mayUnmap, CancellationToken cancellationToken = default);

    /// <summary>Gives the space of a range back where that is possible. It reads as what it was, or as zeroes; overlays never show an older content.</summary>
    /// <exception cref="IOException">The host's error.</exception>
    ValueTask DiscardAsync(long offset, long count, CancellationToken cancellationToken = default);

    /// <summary>All calls that completed before this one are durable when it returns.</summary>
    /// <exception cref="IOException">Something may be lost. Each flush after it fails as well until the image is opened anew.</exception>
    ValueTask FlushAsync(CancellationToken cancellationToken = default);

    /// <summary>Changes the length; what is added reads as zeroes.</summary>
    /// <exception cref="NotSupportedException">A block device's length is not ours to change, or the image can only grow.</exception>
    /// <exception cref="IOException">The host's error.</exception>
    ValueTask ResizeAsync(long length, CancellationToken cancellationToken = default);
}
