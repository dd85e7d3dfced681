using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>Makes a rename or a new file's name durable, which needs an fsync(2) of the directory; .NET does not open directories.</summary>
public static partial class DirectorySync
{
    private const int OpenDirectory = 0x10000; // O_DIRECTORY, asm-generic/fcntl.h
    private const int OpenCloseOnExec = 0x80000; // O_CLOEXEC

    /// <summary>Blocks until the directory's entries are on the disk.</summary>
    /// <exception cref="IOException">The directory cannot be opened or flushed.</exception>
    public static void Flush(string directory)
    {
        int descriptor = Open(directory, OpenDirectory | OpenCloseOnExec);
        if (descriptor < 0)
        {
            throw Failure("open", directory);
        }

        try
        {
            if (Synchronise(descriptor) != 0)
            {
                throw Failure("fsync", directory);
            }
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    private static IOException Failure(string call, string directory)
    {
        string reason = new Win32Exception(Marshal.GetLastPInvokeError()).Message;
        return new IOException($"{call} of the directory '{directory}' failed: {reason}");
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Synchronise(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);
}
