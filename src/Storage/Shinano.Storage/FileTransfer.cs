using System.Buffers;
using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Shinano.Linux;

namespace Shinano.Storage;

/// <summary>
/// Reads and writes of the file under an image. What the host has in memory is read at once, and what it takes without waiting is written at once, on the calling thread;
/// the rest waits on a thread of <see cref="BlockingCalls"/>.
/// </summary>
internal sealed class FileTransfer(SafeFileHandle file)
{
    /// <summary>A call that took longer than this was held up by the host's disk ...</summary>
    private static readonly long LongCall = Stopwatch.Frequency / 1000;

    /// <summary>... and those of the next time are not made on the calling thread.</summary>
    private static readonly long SlowTime = Stopwatch.Frequency / 10;

    private volatile bool _cannotTell;
    private long _slowUntil;

    private delegate long Call(SafeFileHandle file, ReadOnlySpan<Memory<byte>> pieces, long offset);

    /// <summary>Reads; what lies behind the file's end is zeroes.</summary>
    /// <exception cref="IOException">The host's error.</exception>
    public ValueTask ReadAsync(long offset, BufferList destination)
    {
        while (!_cannotTell && !destination.IsEmpty)
        {
            long count = Transfer(FileVectors.ReadCached, offset, destination);
            if (count == FileVectors.WouldWait)
            {
                return new ValueTask(BlockingCalls.RunAsync(() => Read(offset, destination)));
            }

            if (count == FileVectors.CannotTell)
            {
                _cannotTell = true;
                break;
            }

            if (count == 0)
            {
                destination.Clear();
                return ValueTask.CompletedTask;
            }

            (offset, destination) = (offset + count, destination.Slice((int)count));
        }

        return destination.IsEmpty ? ValueTask.CompletedTask : RunAsync(Read, offset, destination);
    }

    /// <summary>Writes all of it.</summary>
    /// <exception cref="IOException">The host's error.</exception>
    public ValueTask WriteAsync(long offset, BufferList source) => RunAsync(Write, offset, source);

    /// <summary>Makes a call of which nobody knows whether it will wait: as those before it.</summary>
    private ValueTask RunAsync(Action<long, BufferList> call, long offset, BufferList buffers)
    {
        long start = Stopwatch.GetTimestamp();
        if (start < Volatile.Read(ref _slowUntil))
        {
            return new ValueTask(BlockingCalls.RunAsync(() => call(offset, buffers)));
        }

        call(offset, buffers);
        long end = Stopwatch.GetTimestamp();
        if (end - start > LongCall)
        {
            Volatile.Write(ref _slowUntil, end + SlowTime);
        }

        return ValueTask.CompletedTask;
    }

    private void Read(long offset, BufferList destination)
    {
        while (!destination.IsEmpty)
        {
            long count = Transfer(FileVectors.Read, offset, destination);
            if (count == 0)
            {
                destination.Clear();
                return;
            }

            (offset, destination) = (offset + count, destination.Slice((int)count));
        }
    }

    private void Write(long offset, BufferList source)
    {
        while (!source.IsEmpty)
        {
            long count = Transfer(FileVectors.Write, offset, source);
            (offset, source) = (offset + count, source.Slice((int)count));
        }
    }

    private long Transfer(Call call, long offset, BufferList buffers)
    {
        int most = Math.Min(buffers.MostPieces, FileVectors.MostPieces);
        Memory<byte>[] pieces = ArrayPool<Memory<byte>>.Shared.Rent(most);
        try
        {
            int used = 0;
            foreach (Memory<byte> piece in buffers)
            {
                pieces[used] = piece;
                if (++used == most)
                {
                    break;
                }
            }

            return call(file, pieces.AsSpan(0, used), offset);
        }
        finally
        {
            ArrayPool<Memory<byte>>.Shared.Return(pieces, clearArray: true);
        }
    }
}
