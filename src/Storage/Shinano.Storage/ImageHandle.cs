using Microsoft.Win32.SafeHandles;
using Shinano.Linux;

namespace Shinano.Storage;

/// <summary>Opens the file under an image.</summary>
internal static class ImageHandle
{
    /// <summary>Opens a file or block device and takes its in-use lock.</summary>
    /// <exception cref="ImageInUseException">It is in use.</exception>
    /// <exception cref="IOException">It cannot be opened, or is neither a file nor a block device.</exception>
    public static SafeFileHandle Open(ImageReference reference, out bool isDevice)
    {
        string path = reference.Path;

        // Before it is opened: opening a FIFO would wait for its other end.
        FileKind kind = FileStorage.GetKind(path);
        isDevice = kind == FileKind.BlockDevice;
        if (kind is not (FileKind.Regular or FileKind.BlockDevice))
        {
            throw kind == FileKind.Missing
                ? new FileNotFoundException($"'{path}': no such file or device", path)
                : new IOException($"'{path}' is neither a file nor a block device");
        }

        SafeFileHandle file;
        try
        {
            // FileShare.ReadWrite: .NET's own locks say nothing that the lock below does not.
            file = File.OpenHandle(
                path, FileMode.Open, reference.ReadOnly ? FileAccess.Read : FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"'{path}' may not be {(reference.ReadOnly ? "read" : "written")} by this user", e);
        }

        try
        {
            if (reference.Sharing == ImageSharing.Exclusive)
            {
                ImageLock.Take(file, path, exclusive: !reference.ReadOnly);
            }

            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
