namespace Shinano.Cpu.Interpreter;

/// <summary>The probes of one frame: a bit per byte. Changed under the code cache's gate, read by any thread.</summary>
internal sealed class FrameProbes(ulong frame)
{
    private readonly ulong[] _bits = new ulong[64];

    public ulong Frame => frame;

    /// <summary>Probes in the frame.</summary>
    public int Count { get; private set; }

    /// <summary>Whether a probe is at an offset of the frame; false for offsets behind it.</summary>
    public bool Contains(int offset) => offset >> 6 < _bits.Length && (Volatile.Read(ref _bits[offset >> 6]) & (1UL << (offset & 63))) != 0;

    /// <summary>Sets or clears a bit.</summary>
    /// <returns>Whether it changed.</returns>
    public bool Change(int offset, bool set)
    {
        if (Contains(offset) == set)
        {
            return false;
        }

        Volatile.Write(ref _bits[offset >> 6], _bits[offset >> 6] ^ (1UL << (offset & 63)));
        Count += set ? 1 : -1;
        return true;
    }
}
