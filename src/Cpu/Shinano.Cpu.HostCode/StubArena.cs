using Shinano.Linux;

namespace Shinano.Cpu.HostCode;

/// <summary>A piece of executable memory that is filled once, from the front. It lives as long as a stub in it is reachable.</summary>
internal sealed unsafe class StubArena(int length)
{
    private readonly ExecutableMemory _memory = new(length);
    private int _used;

    /// <summary>Stubs hold their arena; when none is left, nothing can call into it any more.</summary>
    ~StubArena() => _memory.Dispose();

    /// <summary>Copies code in.</summary>
    /// <returns>Where to call it, or null when the arena is full.</returns>
    public void* Add(ReadOnlySpan<byte> code)
    {
        if (_used + code.Length > _memory.Length)
        {
            return null;
        }

        // SAFETY: the range was checked against the mapping; no stub starts in it yet.
        code.CopyTo(new Span<byte>(_memory.Writable + _used, code.Length));
        void* entry = _memory.Executable + _used;
        _used = (_used + code.Length + 15) & ~15;
        return entry;
    }
}
