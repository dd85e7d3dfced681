using Shinano.Linux;

namespace Shinano.Cpu.Translator;

/// <summary>A piece of executable memory that fills from the front until all of it is dropped at once.</summary>
internal sealed unsafe class CodeRegion(int length) : IDisposable
{
    private const int Alignment = 64;
    private readonly ExecutableMemory _memory = new(length);

    public int Length => length;

    public int Used { get; private set; }

    /// <summary>The generation after which no vCPU may be inside; the region may be filled anew when all have seen it.</summary>
    public long RetiredAt { get; set; }

    public nint Address(int offset) => (nint)(_memory.Executable + offset);

    /// <summary>Takes room at a cache line's start; false when there is none.</summary>
    public bool TryTake(int bytes, out int offset)
    {
        offset = Used;
        if (Used + bytes > length)
        {
            return false;
        }

        Used = (Used + bytes + Alignment - 1) & -Alignment;
        return true;
    }

    public Span<byte> Writable(int offset, int bytes) => new Span<byte>(_memory.Writable, length).Slice(offset, bytes);

    /// <summary>Sets the 32-bit displacement of a jump, which lies in one cache line, in one store.</summary>
    public void Patch(int field, nint target)
    {
        // SAFETY: fields are inside pieces that TryTake gave.
        long displacement = target - (Address(field) + 4);
        Volatile.Write(ref *(int*)(_memory.Writable + field), checked((int)displacement));
    }

    public void Reset() => Used = 0;

    public void Dispose() => _memory.Dispose();
}
