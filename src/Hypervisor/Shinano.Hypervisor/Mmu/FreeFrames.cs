using System.Numerics;

namespace Shinano.Hypervisor.Mmu;

/// <summary>A set of free frames, one bit each: numbers count from the first frame of the guest's part.</summary>
internal sealed class FreeFrames
{
    private const int WordBits = 64;
    private readonly ulong[] _words;
    private readonly int _count;
    private int _hint;

    /// <summary>Starts with all <paramref name="count"/> frames free.</summary>
    public FreeFrames(int count)
    {
        _count = count;
        _words = new ulong[(count + WordBits - 1) / WordBits];
        Array.Fill(_words, ulong.MaxValue);
        if (count % WordBits != 0)
        {
            _words[^1] = (1UL << (count % WordBits)) - 1;
        }
    }

    /// <summary>Takes a certain frame; false when it is not free.</summary>
    public bool TryTake(int frame)
    {
        ref ulong word = ref _words[frame / WordBits];
        ulong bit = 1UL << (frame % WordBits);
        bool isFree = (word & bit) != 0;
        word &= ~bit;
        return isFree;
    }

    /// <summary>Takes a run of 2^order frames, aligned to its size against <paramref name="bias"/>, the number of frame 0.</summary>
    /// <returns>The run's first frame, or -1.</returns>
    public int TakeRun(int order, ulong bias)
    {
        int size = 1 << order;
        int first = (int)((0 - bias) & ((ulong)size - 1));
        int start = first + ((Math.Max(_hint, first) - first) & ~(size - 1));
        for (int pass = 0; pass < 2; pass++, start = first)
        {
            for (int frame = start; frame <= _count - size; frame += size)
            {
                if (order == 0 && _words[frame / WordBits] == 0)
                {
                    // A whole word without a free frame: on to the next.
                    frame = (frame & ~(WordBits - 1)) + WordBits - 1;
                    continue;
                }

                if (order == 0 && (_words[frame / WordBits] >> (frame % WordBits)) is ulong rest and not 0)
                {
                    frame += BitOperations.TrailingZeroCount(rest);
                }

                if (IsFree(frame, size))
                {
                    for (int i = 0; i < size; i++)
                    {
                        TryTake(frame + i);
                    }

                    _hint = frame + size;
                    return frame;
                }
            }
        }

        return -1;
    }

    /// <summary>Puts a frame back.</summary>
    public void Put(int frame)
    {
        _words[frame / WordBits] |= 1UL << (frame % WordBits);
        _hint = Math.Min(_hint, frame);
    }

    private bool IsFree(int first, int size)
    {
        for (int i = 0; i < size; i++)
        {
            if ((_words[(first + i) / WordBits] >> ((first + i) % WordBits) & 1) == 0)
            {
                return false;
            }
        }

        return true;
    }
}
