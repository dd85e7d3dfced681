using System.Buffers;

namespace Shinano.Memory;

/// <summary>One page of a guest as <see cref="Memory{T}"/>. It is never moved, so that pinning costs nothing.</summary>
internal sealed unsafe class FrameBytes(byte* page) : MemoryManager<byte>
{
    /// <inheritdoc/>
    public override Span<byte> GetSpan() => new(page, GuestMemory.PageSize);

    /// <inheritdoc/>
    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(elementIndex);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(elementIndex, GuestMemory.PageSize);

        // SAFETY: the index is inside the page or at its end.
        return new MemoryHandle(page + elementIndex, pinnable: this);
    }

    /// <inheritdoc/>
    public override void Unpin()
    {
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
    }
}
