namespace Shinano.Storage;

/// <summary>Which image to open, and how.</summary>
/// <param name="Path">A file or a block device; links are followed.</param>
/// <param name="Format">The stated format.</param>
public sealed record ImageReference(string Path, ImageFormat Format)
{
    /// <summary>Nothing is ever written to it or its backing files.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>What an overlay may name as its backing file.</summary>
    public BackingPolicy Backing { get; init; }

    /// <summary>Who else may have it open.</summary>
    public ImageSharing Sharing { get; init; }
}
