using System.ComponentModel;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shinano.Linux;

/// <summary>
/// A file that gets its name when it is whole: until then it has none (open(2), O_TMPFILE), and a process that ends before, however, leaves nothing behind. Readable
/// and writable for its owner alone. Not thread-safe.
/// </summary>
/// <remarks>A file system without such files (NFS, say) gets one with a name that nobody else takes, which stays behind if the process is killed.</remarks>
public sealed partial class WholeFile : IDisposable
{
    private const int OpenWriteOnly = 1; // O_WRONLY, asm-generic/fcntl.h
    private const int OpenCloseOnExec = 0x80000; // O_CLOEXEC
    private const int OpenUnnamed = 0x410000; // O_TMPFILE, with its O_DIRECTORY
    private const uint OwnerOnly = 0x180; // 0600
    private const int CurrentDirectory = -100; // AT_FDCWD
    private const int FollowLinks = 0x400; // AT_SYMLINK_FOLLOW
    private const int NoEntry = 2; // ENOENT
    private const int Exists = 17; // EEXIST
    private const int IsDirectory = 21; // EISDIR: a kernel or file system that knows no O_TMPFILE opens the directory
    private const int NotSupported = 95; // EOPNOTSUPP

    private readonly string _path;
    private readonly string _passing;
    private bool _isNamed;

    private WholeFile(string path)
    {
        _path = path;
        _passing = Path.Combine(Path.GetDirectoryName(path)!, string.Create(CultureInfo.InvariantCulture, $".{Guid.NewGuid():N}.partial"));
        int descriptor = Open(Path.GetDirectoryName(path)!, OpenWriteOnly | OpenUnnamed | OpenCloseOnExec, OwnerOnly);
        if (descriptor >= 0)
        {
            Stream = new FileStream(new SafeFileHandle(descriptor, ownsHandle: true), FileAccess.Write, bufferSize: 0);
            return;
        }

        int error = Marshal.GetLastPInvokeError();
        if (error is not (NotSupported or IsDirectory or NoEntry))
        {
            throw Failure("open", error);
        }

        Stream = new FileStream(_passing, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            BufferSize = 0,
        });
        _isNamed = true;
    }

    /// <summary>Takes the content.</summary>
    public FileStream Stream { get; }

    /// <param name="path">Where it is to be; what is there is replaced at the end, and not touched before.</param>
    /// <exception cref="IOException">The directory is missing, may not be written, or its file system is full.</exception>
    /// <exception cref="UnauthorizedAccessException">The directory may not be written.</exception>
    public static WholeFile Create(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return new WholeFile(Path.GetFullPath(path));
    }

    /// <summary>Makes the content durable and gives the file its name, durably. Once.</summary>
    /// <exception cref="IOException">Something is not on the disk, or the name cannot be had; nothing is left behind.</exception>
    public void Publish()
    {
        Stream.Flush(flushToDisk: true);
        if (!_isNamed)
        {
            string self = string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{Stream.SafeFileHandle.DangerousGetHandle()}");
            if (Link(CurrentDirectory, self, CurrentDirectory, _path, FollowLinks) == 0)
            {
                DirectorySync.Flush(Path.GetDirectoryName(_path)!);
                return;
            }

            // linkat(2) replaces nothing, rename(2) does.
            int error = Marshal.GetLastPInvokeError();
            if (error != Exists || Link(CurrentDirectory, self, CurrentDirectory, _passing, FollowLinks) != 0)
            {
                throw Failure("linkat", error == Exists ? Marshal.GetLastPInvokeError() : error);
            }

            _isNamed = true;
        }

        File.Move(_passing, _path, overwrite: true);
        _isNamed = false;
        DirectorySync.Flush(Path.GetDirectoryName(_path)!);
    }

    /// <summary>Closes the file; one that was not published is gone.</summary>
    public void Dispose()
    {
        Stream.Dispose();
        if (_isNamed)
        {
            File.Delete(_passing);
        }
    }

    private static IOException Failure(string call, int error) => new($"{call}: {new Win32Exception(error).Message}", error);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "linkat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(int fromDirectory, string from, int toDirectory, string to, int flags);
}
