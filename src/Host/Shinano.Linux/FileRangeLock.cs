using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shinano.Linux;

/// <summary>Advisory locks on bytes of a file that belong to the open file description (fcntl(2), F_OFD_SETLK): they end with it, however that is.</summary>
public static partial class FileRangeLock
{
    private const int OfdGet = 36; // F_OFD_GETLK, asm-generic/fcntl.h
    private const int OfdSet = 37; // F_OFD_SETLK
    private const int OfdSetWait = 38; // F_OFD_SETLKW
    private const int Interrupted = 4; // EINTR
    private const short ReadLock = 0; // F_RDLCK
    private const short WriteLock = 1; // F_WRLCK
    private const short NoLock = 2; // F_UNLCK
    private const int TryAgain = 11; // EAGAIN
    private const int AccessDenied = 13; // EACCES

    /// <summary>Takes a lock, or turns one that this file description has into this kind; does not wait.</summary>
    /// <returns>False when another file description has a lock that excludes it.</returns>
    /// <exception cref="IOException">The file system has no locks.</exception>
    public static bool TryLock(SafeFileHandle file, long offset, long length, bool exclusive)
    {
        FileLock request = new() { Type = exclusive ? WriteLock : ReadLock, Start = offset, Length = length };
        if (Control(file, OfdSet, ref request) == 0)
        {
            return true;
        }

        return Marshal.GetLastPInvokeError() is TryAgain or AccessDenied ? false : throw Failure();
    }

    /// <summary>Takes an exclusive lock, and blocks until it can be had.</summary>
    public static void Lock(SafeFileHandle file, long offset, long length)
    {
        FileLock request = new() { Type = WriteLock, Start = offset, Length = length };
        while (Control(file, OfdSetWait, ref request) != 0)
        {
            if (Marshal.GetLastPInvokeError() != Interrupted)
            {
                throw Failure();
            }
        }
    }

    /// <summary>Gives up this file description's locks in a range.</summary>
    public static void Unlock(SafeFileHandle file, long offset, long length)
    {
        FileLock request = new() { Type = NoLock, Start = offset, Length = length };
        if (Control(file, OfdSet, ref request) != 0)
        {
            throw Failure();
        }
    }

    /// <summary>Whether another file description has a lock, of any kind, in a range.</summary>
    public static bool IsLockedByAnother(SafeFileHandle file, long offset, long length)
    {
        FileLock request = new() { Type = WriteLock, Start = offset, Length = length };
        return Control(file, OfdGet, ref request) == 0 ? request.Type != NoLock : throw Failure();
    }

    private static IOException Failure()
    {
        int error = Marshal.GetLastPInvokeError();
        return new IOException($"a lock on the file cannot be had: {new Win32Exception(error).Message}", error);
    }

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, int command, ref FileLock request);

    /// <summary>struct flock of x86-64 Linux (asm-generic/fcntl.h).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct FileLock
    {
        public short Type;
        public short Whence;
        public long Start;
        public long Length;
        public int ProcessId;
    }
}
