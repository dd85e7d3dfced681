using System.Buffers;
using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shinano.Linux;

/// <summary>Reads and writes of several pieces of memory in one call (readv(2)), and reads that do not wait for the disk.</summary>
public static unsafe partial class FileVectors
{
    /// <summary>Pieces that one call takes (UIO_MAXIOV, linux/uio.h); more are cut off.</summary>
    public const int MostPieces = 1024;

    /// <summary>See <see cref="ReadCached"/>.</summary>
    public const long WouldWait = -1;

    /// <summary>See <see cref="ReadCached"/>.</summary>
    public const long CannotTell = -2;

    private const int NoWait = 8; // RWF_NOWAIT, linux/fs.h
    private const int Interrupted = 4; // EINTR
    private const int TryAgain = 11; // EAGAIN
    private const int NotSupported = 95; // EOPNOTSUPP

    /// <summary>Reads into pieces of memory in their order. Blocks until the kernel is done.</summary>
    /// <param name="pieces">At least one; none may be empty.</param>
    /// <param name="offset">In the file, in bytes.</param>
    /// <returns>Bytes read: perhaps fewer than there is room for, 0 at the end of the file.</returns>
    /// <exception cref="IOException">The kernel refused, or the device failed.</exception>
    public static long Read(SafeFileHandle file, ReadOnlySpan<Memory<byte>> pieces, long offset)
    {
        return Transfer(file, pieces, offset, isWrite: false, flags: 0);
    }

    /// <summary>Reads what is in the host's memory already.</summary>
    /// <returns>
    /// Bytes read: perhaps fewer than there is room for, 0 at the end of the file; <see cref="WouldWait"/> when the first byte would have to be waited for,
    /// <see cref="CannotTell"/> when the file system does not know such reads (tmpfs).
    /// </returns>
    /// <exception cref="IOException">The kernel refused.</exception>
    public static long ReadCached(SafeFileHandle file, ReadOnlySpan<Memory<byte>> pieces, long offset)
    {
        return Transfer(file, pieces, offset, isWrite: false, NoWait);
    }

    /// <summary>Writes pieces of memory in their order. Blocks until the kernel has taken them.</summary>
    /// <param name="pieces">At least one; none may be empty. Another thread, or a guest, may change them meanwhile.</param>
    /// <returns>Bytes written: perhaps fewer than there are, not 0.</returns>
    /// <exception cref="IOException">The kernel refused: no space, or an offset beyond what the file system or a limit allows.</exception>
    public static long Write(SafeFileHandle file, ReadOnlySpan<Memory<byte>> pieces, long offset)
    {
        return Transfer(file, pieces, offset, isWrite: true, flags: 0);
    }

    private static long Transfer(SafeFileHandle file, ReadOnlySpan<Memory<byte>> pieces, long offset, bool isWrite, int flags)
    {
        int count = Math.Min(pieces.Length, MostPieces);
        MemoryHandle[] pins = ArrayPool<MemoryHandle>.Shared.Rent(count);
        Vector* vectors = stackalloc Vector[count];
        int pinned = 0;
        try
        {
            int used = 0;
            for (; pinned < count; pinned++)
            {
                pins[pinned] = pieces[pinned].Pin();
                byte* address = (byte*)pins[pinned].Pointer;
                nuint length = (nuint)pieces[pinned].Length;

                // SAFETY: used - 1 is an element that was filled. Neighbours in memory become one piece.
                if (used > 0 && vectors[used - 1].Address + vectors[used - 1].Length == address)
                {
                    vectors[used - 1].Length += length;
                }
                else
                {
                    vectors[used++] = new Vector { Address = address, Length = length };
                }
            }

            while (true)
            {
                // SAFETY: the vectors describe memory that stays pinned until the call has returned.
                long done = isWrite ? WriteVectors(file, vectors, used, offset, flags) : ReadVectors(file, vectors, used, offset, flags);
                if (done >= 0)
                {
                    return done;
                }

                int error = Marshal.GetLastPInvokeError();
                if ((flags & NoWait) != 0 && error is TryAgain or NotSupported)
                {
                    return error == TryAgain ? WouldWait : CannotTell;
                }

                if (error != Interrupted)
                {
                    throw new IOException($"{(isWrite ? "pwritev" : "preadv")} at byte {offset} failed: {new Win32Exception(error).Message}", error);
                }
            }
        }
        finally
        {
            for (int i = 0; i < pinned; i++)
            {
                pins[i].Dispose();
            }

            ArrayPool<MemoryHandle>.Shared.Return(pins, clearArray: true);
        }
    }

    [LibraryImport("libc", EntryPoint = "preadv2", SetLastError = true)]
    private static partial long ReadVectors(SafeFileHandle file, Vector* vectors, int count, long offset, int flags);

    [LibraryImport("libc", EntryPoint = "pwritev2", SetLastError = true)]
    private static partial long WriteVectors(SafeFileHandle file, Vector* vectors, int count, long offset, int flags);

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Vector
    {
        public byte* Address;
        public nuint Length;
    }
}
