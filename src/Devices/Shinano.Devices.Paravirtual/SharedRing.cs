using Shinano.Memory;

namespace Shinano.Devices.Paravirtual;

/// <summary>
/// One direction of a byte ring in a page of the guest: free-running 32-bit indices over a buffer whose size is a power of two. What the other side wrote is
/// hostile: a distance larger than the buffer is no state of the ring, and nothing is read or written then.
/// </summary>
/// <param name="memory">The guest's.</param>
/// <param name="frame">Frame of the page; the caller keeps it from leaving the domain.</param>
/// <param name="buffer">Offset of the buffer in the page, in bytes.</param>
/// <param name="size">Bytes of the buffer.</param>
/// <param name="consumer">Offset of the consumer's index in the page.</param>
/// <param name="producer">Offset of the producer's index in the page.</param>
internal sealed class SharedRing(GuestMemory memory, ulong frame, int buffer, int size, int consumer, int producer)
{
    /// <summary>The indices make no sense at present.</summary>
    public bool IsBroken => Load(producer) - Load(consumer) > (uint)size;

    /// <summary>Copies what the guest produced, without consuming it.</summary>
    /// <returns>Bytes copied; 0 also when the ring is broken.</returns>
    public int Peek(Span<byte> destination)
    {
        uint start = Load(consumer);
        uint available = Load(producer) - start;
        if (available > (uint)size || !memory.IsRam(frame))
        {
            return 0;
        }

        int count = (int)Math.Min(available, (uint)destination.Length);
        Span<byte> page = memory.FrameSpan(frame).Slice(buffer, size);
        int offset = (int)(start & (uint)(size - 1));
        int first = Math.Min(count, size - offset);
        page.Slice(offset, first).CopyTo(destination);
        page[..(count - first)].CopyTo(destination[first..]);
        return count;
    }

    /// <summary>Gives bytes that were copied back to the producer.</summary>
    public void Consume(int count) => Store(consumer, Load(consumer) + (uint)count);

    /// <summary>Produces as many bytes as there is room for.</summary>
    /// <returns>Bytes taken; 0 also when the ring is broken.</returns>
    public int Produce(ReadOnlySpan<byte> source)
    {
        uint start = Load(producer);
        uint used = start - Load(consumer);
        if (used > (uint)size || !memory.IsRam(frame))
        {
            return 0;
        }

        int count = (int)Math.Min((uint)size - used, (uint)source.Length);
        Span<byte> page = memory.FrameSpan(frame).Slice(buffer, size);
        int offset = (int)(start & (uint)(size - 1));
        int first = Math.Min(count, size - offset);
        source[..first].CopyTo(page[offset..]);
        source[first..count].CopyTo(page);
        memory.AnnounceWrite((frame << GuestMemory.PageShift) + (uint)buffer, size);
        Store(producer, start + (uint)count);
        return count;
    }

    /// <summary>Empties the ring, both indices 0.</summary>
    public void Reset()
    {
        Store(consumer, 0);
        Store(producer, 0);
    }

    // Acquire and release, as the ring's bytes lie between the indices' accesses. A frame that is gone all the same reads as an empty ring.
    private uint Load(int offset) => memory.IsRam(frame) ? Volatile.Read(ref Index(offset)) : 0;

    private void Store(int offset, uint value)
    {
        if (memory.IsRam(frame))
        {
            Volatile.Write(ref Index(offset), value);
        }
    }

    private ref uint Index(int offset) => ref memory.Shared<uint>((frame << GuestMemory.PageShift) + (uint)offset);
}
