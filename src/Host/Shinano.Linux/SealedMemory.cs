using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shinano.Linux;

/// <summary>A memory file (memfd) whose length and content nobody can change any more, whoever has its descriptor: what may be shared with a process that is not trusted.</summary>
/// <remarks>Source: fcntl(2), F_ADD_SEALS. A writable shared mapping anywhere keeps a file from being sealed, so none is left of one that is.</remarks>
public sealed class SealedMemory : IDisposable
{
    private const int AddSeals = 1033;
    private const int GetSeals = 1034;

    // F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE.
    private const int AllSeals = 1 | 2 | 4 | 8;

    private SealedMemory(SafeFileHandle file)
    {
        File = file;
        Length = RandomAccess.GetLength(file);
    }

    /// <summary>The descriptor, for passing to another process; this object's.</summary>
    public SafeFileHandle File { get; }

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>Takes a descriptor that somebody sent.</summary>
    /// <param name="file">Is this object's, or closed after a failure.</param>
    /// <exception cref="InvalidDataException">It is no memory file, or can still be changed.</exception>
    public static SealedMemory Open(SafeFileHandle file)
    {
        ArgumentNullException.ThrowIfNull(file);
        int seals = NativeMemoryCalls.FControl((int)file.DangerousGetHandle(), GetSeals, 0);
        if (seals >= 0 && (seals & AllSeals) == AllSeals)
        {
            return new SealedMemory(file);
        }

        file.Dispose();
        throw new InvalidDataException(seals < 0 ? "a descriptor is no memory file's" : $"a memory file can still be changed (seals {seals:x})");
    }

    /// <summary>A memory file with what is written into it, sealed.</summary>
    /// <param name="name">Shown in /proc/PID/fd; no meaning otherwise.</param>
    /// <param name="length">Bytes; what is not written reads as zero.</param>
    /// <exception cref="IOException">The host refused.</exception>
    public static SealedMemory Create(string name, long length, Action<SafeFileHandle> write)
    {
        ArgumentNullException.ThrowIfNull(write);
        SafeFileHandle file = new(NativeMemoryCalls.MemfdCreate(name, NativeMemoryCalls.MemfdCloseOnExec | NativeMemoryCalls.MemfdAllowSealing), ownsHandle: true);
        try
        {
            if (file.IsInvalid || NativeMemoryCalls.FTruncate((int)file.DangerousGetHandle(), length) != 0)
            {
                throw Failure("memfd_create");
            }

            write(file);
            Seal(file);
            return new SealedMemory(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Seals a memory file that has no writable shared mapping any more.</summary>
    /// <param name="file">Is the result's.</param>
    /// <exception cref="IOException">It has one, or was not made for sealing.</exception>
    internal static SealedMemory Of(SafeFileHandle file)
    {
        Seal(file);
        return new SealedMemory(file);
    }

    /// <summary>Adds the pages that the file holds to a set; the others are holes that read as zero.</summary>
    internal void AddPages(PageSet pages)
    {
        int descriptor = (int)File.DangerousGetHandle();
        for (long end = 0; end < Length;)
        {
            long start = NativeMemoryCalls.LSeek(descriptor, end, NativeMemoryCalls.SeekData);
            if (start < 0)
            {
                return;
            }

            long hole = NativeMemoryCalls.LSeek(descriptor, start, NativeMemoryCalls.SeekHole);
            end = hole < 0 ? Length : hole;
            pages.AddBytes(start, end);
        }
    }

    /// <summary>Whether the file holds a page; a hole reads as zero.</summary>
    internal bool HasPage(long offset) =>
        NativeMemoryCalls.LSeek((int)File.DangerousGetHandle(), offset, NativeMemoryCalls.SeekData) == offset;

    /// <inheritdoc/>
    public void Dispose() => File.Dispose();

    private static void Seal(SafeFileHandle file)
    {
        if (NativeMemoryCalls.FControl((int)file.DangerousGetHandle(), AddSeals, AllSeals) != 0)
        {
            throw Failure("fcntl(F_ADD_SEALS)");
        }
    }

    private static IOException Failure(string what) => new($"{what}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
}
