using Microsoft.Win32.SafeHandles;

namespace Shinano.Storage;

/// <summary>Keeps others from an image's file without opening the image.</summary>
internal sealed class ImageHold : IDisposable
{
    private readonly SafeFileHandle _file;

    /// <exception cref="ImageInUseException">It is in use.</exception>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public ImageHold(ImageReference reference) => _file = ImageHandle.Open(reference, out _);

    public void Dispose() => ImageLock.ReleaseAndClose(_file);
}
