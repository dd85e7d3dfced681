using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shinano.Linux;

/// <summary>What disk images need of files and block devices and .NET does not offer: holes, data flushes, device sizes.</summary>
/// <remarks>All calls block until the kernel is done. Offsets and lengths are bytes.</remarks>
public static partial class FileStorage
{
    private const int KeepSize = 1; // FALLOC_FL_KEEP_SIZE, linux/falloc.h
    private const int PunchHoleMode = 2; // FALLOC_FL_PUNCH_HOLE
    private const int ZeroRangeMode = 0x10; // FALLOC_FL_ZERO_RANGE
    private const int SeekData = 3; // SEEK_DATA, linux/fs.h
    private const int SeekHole = 4; // SEEK_HOLE
    private const uint BlockDeviceSize = 0x80081272; // BLKGETSIZE64, linux/fs.h
    private const uint BlockDiscard = 0x1277; // BLKDISCARD
    private const uint BlockZeroOut = 0x127f; // BLKZEROOUT
    private const int NoSuchAddress = 6; // ENXIO
    private const int Interrupted = 4; // EINTR
    private const int NotSupported = 95; // EOPNOTSUPP
    private const int NoSystemCall = 38; // ENOSYS
    private const int Invalid = 22; // EINVAL
    private const int NotTypewriter = 25; // ENOTTY

    /// <summary>Returns a range's blocks to the file system; it reads as zeroes afterwards.</summary>
    /// <returns>False when the file system cannot (EOPNOTSUPP): nothing changed.</returns>
    /// <exception cref="IOException">The kernel refused for another reason.</exception>
    public static bool TryPunchHole(SafeFileHandle file, long offset, long length) =>
        TryAllocate(file, PunchHoleMode | KeepSize, offset, length);

    /// <summary>Makes a range read as zeroes and keeps its blocks reserved; the file does not grow.</summary>
    /// <returns>False when the file system cannot (EOPNOTSUPP): nothing changed.</returns>
    /// <exception cref="IOException">The kernel refused for another reason.</exception>
    public static bool TryZeroRange(SafeFileHandle file, long offset, long length) =>
        TryAllocate(file, ZeroRangeMode | KeepSize, offset, length);

    /// <summary>Makes what was written durable (fdatasync(2)).</summary>
    /// <exception cref="IOException">Something written before is lost, or may be.</exception>
    public static void FlushData(SafeFileHandle file)
    {
        while (DataSync(file) != 0)
        {
            ThrowUnlessInterrupted("fdatasync");
        }
    }

    /// <summary>Where data begins at or after an offset, and where it ends.</summary>
    /// <returns>Null when only a hole follows. A file system without holes answers with the whole rest.</returns>
    /// <exception cref="IOException">lseek(2) failed.</exception>
    public static (long Start, long End)? FindData(SafeFileHandle file, long offset)
    {
        long start = Seek(file, offset, SeekData);
        if (start < 0)
        {
            return Marshal.GetLastPInvokeError() == NoSuchAddress ? null : throw Failure("lseek");
        }

        long end = Seek(file, start, SeekHole);
        return end > start ? (start, end) : throw Failure("lseek");
    }

    /// <summary>What kind of file a path names, links followed (stat(2)); nothing is opened.</summary>
    public static FileKind GetKind(string path)
    {
        // struct stat of x86-64 (asm/stat.h): 144 bytes, st_mode at 24.
        byte[] status = new byte[144];
        return Status(path, status) != 0
            ? FileKind.Missing
            : (BitConverter.ToUInt32(status, 24) & 0xf000) switch
            {
                0x8000 => FileKind.Regular, // S_IFREG
                0x6000 => FileKind.BlockDevice, // S_IFBLK
                0x4000 => FileKind.Directory, // S_IFDIR
                _ => FileKind.Other,
            };
    }

    /// <summary>Bytes that a file takes on its file system, holes left out; 0 when there is none.</summary>
    public static long GetAllocatedBytes(string path)
    {
        byte[] status = new byte[144];

        // st_blocks at 64, in units of 512 bytes.
        return Status(path, status) == 0 ? BitConverter.ToInt64(status, 64) * 512 : 0;
    }

    /// <summary>A path without links and dots (realpath(3)); null when it names nothing.</summary>
    public static string? ResolvePath(string path)
    {
        byte[] buffer = new byte[4096]; // PATH_MAX, linux/limits.h
        return RealPath(path, buffer) == 0 ? null : System.Text.Encoding.UTF8.GetString(buffer.AsSpan(0, Array.IndexOf(buffer, (byte)0)));
    }

    /// <summary>The length of a block device.</summary>
    /// <exception cref="IOException">It is no block device.</exception>
    public static long GetBlockDeviceLength(SafeFileHandle device)
    {
        return ControlGet(device, BlockDeviceSize, out ulong length) == 0 ? checked((long)length) : throw Failure("BLKGETSIZE64");
    }

    /// <summary>Tells a block device that a range is not needed any more; what it reads as afterwards is undefined.</summary>
    /// <returns>False when the device cannot.</returns>
    public static bool TryDiscardDevice(SafeFileHandle device, long offset, long length) => TryControl(device, BlockDiscard, offset, length);

    /// <summary>Makes a range of a block device zero.</summary>
    /// <returns>False when the kernel cannot.</returns>
    public static bool TryZeroDevice(SafeFileHandle device, long offset, long length) => TryControl(device, BlockZeroOut, offset, length);

    private static bool TryControl(SafeFileHandle device, uint request, long offset, long length)
    {
        if (ControlRange(device, request, [(ulong)offset, (ulong)length]) == 0)
        {
            return true;
        }

        return Marshal.GetLastPInvokeError() is NotSupported or Invalid or NotTypewriter ? false : throw Failure("ioctl");
    }

    private static bool TryAllocate(SafeFileHandle file, int mode, long offset, long length)
    {
        while (Allocate(file, mode, offset, length) != 0)
        {
            if (Marshal.GetLastPInvokeError() is NotSupported or NoSystemCall)
            {
                return false;
            }

            ThrowUnlessInterrupted("fallocate");
        }

        return true;
    }

    private static void ThrowUnlessInterrupted(string call)
    {
        if (Marshal.GetLastPInvokeError() != Interrupted)
        {
            throw Failure(call);
        }
    }

    private static IOException Failure(string call)
    {
        int error = Marshal.GetLastPInvokeError();
        return new IOException($"{call} failed: {new Win32Exception(error).Message}", error);
    }

    [LibraryImport("libc", EntryPoint = "stat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Status(string path, [Out] byte[] status);

    [LibraryImport("libc", EntryPoint = "realpath", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint RealPath(string path, [Out] byte[] resolved);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static partial int Allocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int DataSync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    private static partial long Seek(SafeFileHandle file, long offset, int whence);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int ControlGet(SafeFileHandle file, nuint request, out ulong value);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int ControlRange(SafeFileHandle file, nuint request, [In] ulong[] range);
}
