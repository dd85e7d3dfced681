using Shinano.Linux;

namespace Shinano.Cpu.Translator;

/// <summary>
/// A piece of executable memory that fills until all of it is dropped at once: from the front with what is always executed, from the end with what seldom is, so that the former
/// takes few cache lines and pages of the host.
/// </summary>
internal sealed unsafe class CodeRegion : IDisposable
{
    private const int Alignment = 64;
    private readonly ExecutableMemory _memory;

    /// <summary>Behind the last byte from the front, and the first from the end.</summary>
    private int _hot;
    private int _cold;

    public CodeRegion(int length)
    {
        _memory = new ExecutableMemory(length);
        Reset();
    }

    public int Length => (int)_memory.Length;

    public int Used => _hot + (Length - _cold);

    /// <summary>The generation after which no vCPU may be inside; the region may be filled anew when all have seen it.</summary>
    public long RetiredAt { get; set; }

    public nint Address(int offset) => (nint)(_memory.Executable + offset);

    /// <summary>All of it, to write to.</summary>
    public Span<byte> Writable => new(_memory.Writable, Length);

    /// <summary>Takes room for both kinds, at cache lines' starts; false when there is none.</summary>
    public bool TryTake(int hotBytes, int coldBytes, out int hot, out int cold)
    {
        hot = _hot;
        cold = (_cold - coldBytes) & -Alignment;
        int end = (hot + hotBytes + Alignment - 1) & -Alignment;
        if (end > cold)
        {
            return false;
        }

        _hot = end;
        _cold = cold;
        return true;
    }

    /// <summary>Sets the 32-bit displacement of a jump, which lies in one cache line, in one store.</summary>
    public void Patch(int field, nint target)
    {
        // SAFETY: fields are inside pieces that TryTake gave.
        long displacement = target - (Address(field) + 4);
        Volatile.Write(ref *(int*)(_memory.Writable + field), checked((int)displacement));
    }

    public void Reset()
    {
        _hot = 0;
        _cold = Length;
    }

    public void Dispose() => _memory.Dispose();
}
