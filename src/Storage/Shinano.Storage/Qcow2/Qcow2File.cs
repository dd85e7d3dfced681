using Microsoft.Win32.SafeHandles;
using Shinano.Linux;

namespace Shinano.Storage.Qcow2;

/// <summary>The file under an image: positioned reads and writes, and the memory of a write of metadata that failed.</summary>
internal sealed class Qcow2File(SafeFileHandle handle, string path) : IDisposable
{
    private readonly FileTransfer _transfer = new(handle);
    private volatile IOException? _lost;

    public SafeFileHandle Handle => handle;

    public string Path => path;

    public long Length => RandomAccess.GetLength(handle);

    /// <summary>Reads; what lies behind the file's end is zeroes, as a cluster that was allocated and not written.</summary>
    public void Read(long offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int read = RandomAccess.Read(handle, destination, offset);
            if (read == 0)
            {
                destination.Clear();
                return;
            }

            offset += read;
            destination = destination[read..];
        }
    }

    /// <summary>Reads data of the guest; what lies behind the file's end is zeroes.</summary>
    public ValueTask ReadAsync(long offset, BufferList destination) => _transfer.ReadAsync(offset, destination);

    /// <summary>Writes data of the guest.</summary>
    public ValueTask WriteAsync(long offset, BufferList source) => _transfer.WriteAsync(offset, source);

    /// <summary>Writes metadata. After a failure the file may have half of a change, so that nothing more is written to it.</summary>
    public void Write(long offset, ReadOnlySpan<byte> source)
    {
        ThrowIfLost();
        try
        {
            RandomAccess.Write(handle, source, offset);
        }
        catch (ArgumentOutOfRangeException e)
        {
            IOException failure = TooFar(offset, e);
            _lost = failure;
            throw failure;
        }
        catch (IOException e)
        {
            _lost = e;
            throw;
        }
    }

    public void Flush()
    {
        ThrowIfLost();
        try
        {
            FileStorage.FlushData(handle);
        }
        catch (IOException e)
        {
            // The kernel reports a lost page once (fsync(2), errors).
            _lost = e;
            throw;
        }
    }

    /// <exception cref="IOException">Metadata could not be written earlier.</exception>
    public void ThrowIfLost()
    {
        if (_lost is { } lost)
        {
            throw new IOException($"'{path}': an earlier write of the image's tables failed, and it takes no more: {lost.Message}", lost);
        }
    }

    /// <summary>Refuses all writes from now on.</summary>
    public void MarkLost(IOException reason) => _lost ??= reason;

    public InvalidImageException Invalid(string message) => new($"'{path}': {message}");

    /// <summary>EFBIG, which .NET reports as an argument's fault: the file system has no such offset, or RLIMIT_FSIZE forbids it.</summary>
    private IOException TooFar(long offset, Exception reason) => new($"'{path}': the file cannot reach to byte {offset}", reason);

    public void Dispose() => ImageLock.ReleaseAndClose(handle);
}
