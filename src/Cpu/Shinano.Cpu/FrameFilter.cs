namespace Shinano.Cpu;

/// <summary>A set of frames that may answer "yes" for one that is not in it, never "no" for one that is.</summary>
public sealed class FrameFilter
{
    private const int Bits = 4096;
    private readonly ulong[] _words = new ulong[Bits / 64];

    /// <summary>Makes the set empty.</summary>
    public void Clear() => Array.Clear(_words);

    public void Add(ulong frame) => _words[Word(frame)] |= 1UL << (int)(frame & 63);

    /// <summary>Whether the frame may be in the set.</summary>
    public bool MayContain(ulong frame) => (_words[Word(frame)] >> (int)(frame & 63) & 1) != 0;

    private static int Word(ulong frame) => (int)(frame >> 6) & ((Bits / 64) - 1);
}
