namespace Shinano.Storage;

/// <summary>A range of an image that is of one kind.</summary>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Kind">What is there.</param>
public readonly record struct ImageExtent(long Offset, long Length, ExtentKind Kind)
{
    /// <summary>The byte behind the last one.</summary>
    public long End => Offset + Length;
}
