using Shinano.Storage.Qcow2;

namespace Shinano.Storage;

/// <summary>Walks an image without reading what is known to be zeroes. Looks into tables on the disk: blocks shortly.</summary>
public static class ImageExtents
{
    /// <summary>The extent that begins at an offset inside the image; neighbours may be of the same kind.</summary>
    /// <param name="layers">How many layers of a backing chain count, the image itself included.</param>
    public static ImageExtent At(IBlockImage image, long offset, int layers = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)offset, (ulong)image.Length, nameof(offset));
        if (layers <= 0)
        {
            return new ImageExtent(offset, image.Length - offset, ExtentKind.Below);
        }

        return image switch
        {
            Qcow2Image qcow2 => qcow2.Extent(offset, layers),
            RawImage raw => OfRaw(raw, offset),
            _ => new ImageExtent(offset, image.Length - offset, ExtentKind.Data),
        };
    }

    /// <summary>All extents from the first byte to the last.</summary>
    public static IEnumerable<ImageExtent> Of(IBlockImage image, int layers = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(image);
        for (long offset = 0; offset < image.Length;)
        {
            ImageExtent extent = At(image, offset, layers);
            yield return extent;
            offset = extent.End;
        }
    }

    private static ImageExtent OfRaw(RawImage raw, long offset)
    {
        if (raw.FindData(offset) is not { } data)
        {
            return new ImageExtent(offset, raw.Length - offset, ExtentKind.Zero);
        }

        // Holes begin and end at the file system's blocks, but for the file's own end.
        long start = data.Start / BlockRange.SectorSize * BlockRange.SectorSize;
        return start > offset
            ? new ImageExtent(offset, start - offset, ExtentKind.Zero)
            : new ImageExtent(offset, ((data.End + BlockRange.SectorSize - 1) / BlockRange.SectorSize * BlockRange.SectorSize) - offset, ExtentKind.Data);
    }
}
