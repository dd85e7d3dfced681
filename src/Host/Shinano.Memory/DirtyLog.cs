using System.Numerics;

namespace Shinano.Memory;

/// <summary>Which frames of a domain's memory changed since they were last asked for, a bit per frame. Thread-safe.</summary>
/// <remarks>
/// A frame is noted by the host after its write and by a guest's engine before it; see <see cref="GuestMemory.AnnounceWrite"/> and
/// <see cref="GuestMemory.NoteGuestWrite"/>. Every page whose bytes differ from what they were at a <see cref="Take"/> (and a flush of all vCPUs after it) is noted
/// since, or is one of <see cref="GuestMemory.ReferencedFrames"/>.
/// </remarks>
public sealed class DirtyLog
{
    private const int BitsPerWord = 64;

    private readonly ulong _firstFrame;
    private readonly ulong[] _words;

    internal DirtyLog(ulong firstFrame, ulong frameCount)
    {
        _firstFrame = firstFrame;
        _words = new ulong[(frameCount + BitsPerWord - 1) / BitsPerWord];
    }

    /// <summary>Frames noted now.</summary>
    public long Count
    {
        get
        {
            long count = 0;
            foreach (ref ulong word in _words.AsSpan())
            {
                count += BitOperations.PopCount(Volatile.Read(ref word));
            }

            return count;
        }
    }

    /// <summary>The frames noted, in ascending order, which are noted no more.</summary>
    public IReadOnlyList<ulong> Take()
    {
        List<ulong> frames = [];
        for (int i = 0; i < _words.Length; i++)
        {
            if (Volatile.Read(ref _words[i]) == 0)
            {
                continue;
            }

            for (ulong word = Interlocked.Exchange(ref _words[i], 0); word != 0; word &= word - 1)
            {
                frames.Add(_firstFrame + (ulong)((i * BitsPerWord) + BitOperations.TrailingZeroCount(word)));
            }
        }

        return frames;
    }

    /// <summary>Notes a frame of the window.</summary>
    internal void Note(ulong frame)
    {
        ulong index = frame - _firstFrame;
        ref ulong word = ref _words[index / BitsPerWord];
        ulong bit = 1UL << (int)(index % BitsPerWord);

        // Most are noted already. The read is after the caller's barrier, or before the write that it allows.
        if ((Volatile.Read(ref word) & bit) == 0)
        {
            Interlocked.Or(ref word, bit);
        }
    }
}
