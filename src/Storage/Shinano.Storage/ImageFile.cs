using Shinano.Storage.Qcow2;

namespace Shinano.Storage;

/// <summary>Opens images by their stated format.</summary>
public static class ImageFile
{
    /// <summary>Opens an image and its backing chain, and locks them against writers elsewhere.</summary>
    /// <exception cref="ImageInUseException">Another process, or this one, has it open in a way that excludes this.</exception>
    /// <exception cref="InvalidImageException">It is not what its stated format says, or needs a feature that we do not have.</exception>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static ValueTask<IBlockImage> OpenAsync(ImageReference reference, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reference);
        cancellationToken.ThrowIfCancellationRequested();
        return reference.Format switch
        {
            ImageFormat.Raw => ValueTask.FromResult<IBlockImage>(RawImage.Open(reference)),
            _ => ValueTask.FromResult<IBlockImage>(Qcow2Opener.Open(reference)),
        };
    }
}
