namespace Shinano.Storage;

/// <summary>Calls of images with one piece of memory.</summary>
public static class BlockImageCalls
{
    /// <summary>Reads a range into one piece of memory; see <see cref="IBlockImage.ReadAsync"/>.</summary>
    public static ValueTask ReadAsync(this IBlockImage image, long offset, Memory<byte> destination, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        return image.ReadAsync(offset, new BufferList(destination), cancellationToken);
    }

    /// <summary>Writes a range from one piece of memory; see <see cref="IBlockImage.WriteAsync"/>.</summary>
    public static ValueTask WriteAsync(this IBlockImage image, long offset, ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        return image.WriteAsync(offset, BufferList.Of(source), cancellationToken);
    }
}
