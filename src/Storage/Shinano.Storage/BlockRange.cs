namespace Shinano.Storage;

/// <summary>The checks that each image makes of a call's range.</summary>
internal static class BlockRange
{
    public const int SectorSize = 512;

    /// <exception cref="ArgumentException">Not whole sectors, or outside.</exception>
    public static void Check(IBlockImage image, long offset, long count)
    {
        if (offset < 0 || count < 0 || (offset | count) % SectorSize != 0 || offset > image.Length - count)
        {
            throw new ArgumentOutOfRangeException(
                nameof(offset), $"{count} bytes at {offset} are not whole sectors of a disk of {image.Length} bytes");
        }
    }

    /// <exception cref="IOException">The image is read-only.</exception>
    public static void CheckWritable(IBlockImage image)
    {
        if (image.IsReadOnly)
        {
            throw new IOException("the image is read-only");
        }
    }
}
