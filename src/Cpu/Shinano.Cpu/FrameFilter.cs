namespace Shinano.Cpu;

/// <summary>
/// A set of frames that may answer "yes" for one that is not in it, never "no" for one that is; exact while a guest has no more than 256 MiB. A small set can be gone
/// through, too.
/// </summary>
public sealed class FrameFilter
{
    /// <summary>Most frames of a set that can be gone through.</summary>
    private const int MaxListed = 512;

    private const int Bits = 1 << 16;
    private readonly ulong[] _words = new ulong[Bits / 64];
    private readonly ulong[] _listed = new ulong[MaxListed];
    private int _count;

    /// <summary>Whether nothing is in the set.</summary>
    public bool IsEmpty => _count == 0;

    /// <summary>Makes the set empty.</summary>
    public void Clear()
    {
        if (_count != 0)
        {
            Array.Clear(_words);
            _count = 0;
        }
    }

    public void Add(ulong frame)
    {
        _words[Word(frame)] |= 1UL << (int)(frame & 63);
        if (_count < MaxListed)
        {
            _listed[_count] = frame;
        }

        _count = Math.Min(_count + 1, MaxListed + 1);
    }

    /// <summary>Whether the frame may be in the set.</summary>
    public bool MayContain(ulong frame) => (_words[Word(frame)] >> (int)(frame & 63) & 1) != 0;

    /// <summary>False when no frame of another set is in this one.</summary>
    public bool MayShare(FrameFilter other)
    {
        if (!other.TryList(out ReadOnlySpan<ulong> frames))
        {
            return true;
        }

        foreach (ulong frame in frames)
        {
            if (MayContain(frame))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The frames, some of them more than once, unless they are too many.</summary>
    public bool TryList(out ReadOnlySpan<ulong> frames)
    {
        frames = _listed.AsSpan(0, Math.Min(_count, MaxListed));
        return _count <= MaxListed;
    }

    private static int Word(ulong frame) => (int)(frame >> 6) & ((Bits / 64) - 1);
}
