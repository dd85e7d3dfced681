using System.Runtime.InteropServices;
using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Devices.Paravirtual;

/// <summary>
/// One direction of a byte ring in a page of the guest: free-running 32-bit indices over a buffer whose size is a power of two. What the other side wrote is
/// hostile: a distance larger than the buffer is no state of the ring, and nothing is read or written then.
/// </summary>
/// <param name="page">A whole page, mapped for writing. One that is gone all the same, and has no bytes, is an empty ring.</param>
/// <param name="buffer">Offset of the buffer in the page, in bytes.</param>
/// <param name="size">Bytes of the buffer.</param>
/// <param name="consumer">Offset of the consumer's index in the page.</param>
/// <param name="producer">Offset of the producer's index in the page.</param>
internal sealed class SharedRing(IGrantedPage page, int buffer, int size, int consumer, int producer)
{
    /// <summary>The indices make no sense at present.</summary>
    public bool IsBroken => Load(producer) - Load(consumer) > (uint)size;

    /// <summary>Copies what the guest produced, without consuming it.</summary>
    /// <returns>Bytes copied; 0 also when the ring is broken.</returns>
    public int Peek(Span<byte> destination)
    {
        uint start = Load(consumer);
        uint available = Load(producer) - start;
        Span<byte> bytes = page.Bytes.Span;
        if (available > (uint)size || bytes.IsEmpty)
        {
            return 0;
        }

        int count = (int)Math.Min(available, (uint)destination.Length);
        bytes = bytes.Slice(buffer, size);
        int offset = (int)(start & (uint)(size - 1));
        int first = Math.Min(count, size - offset);
        bytes.Slice(offset, first).CopyTo(destination);
        bytes[..(count - first)].CopyTo(destination[first..]);
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
        Span<byte> bytes = page.Bytes.Span;
        if (used > (uint)size || bytes.IsEmpty)
        {
            return 0;
        }

        int count = (int)Math.Min((uint)size - used, (uint)source.Length);
        bytes = bytes.Slice(buffer, size);
        int offset = (int)(start & (uint)(size - 1));
        int first = Math.Min(count, size - offset);
        source[..first].CopyTo(bytes[offset..]);
        source[first..count].CopyTo(bytes);
        page.Announce(buffer, size);
        Store(producer, start + (uint)count);
        return count;
    }

    /// <summary>Empties the ring, both indices 0.</summary>
    public void Reset()
    {
        Store(consumer, 0);
        Store(producer, 0);
    }

    // Acquire and release, as the ring's bytes lie between the indices' accesses.
    private uint Load(int offset)
    {
        Span<byte> bytes = page.Bytes.Span;
        return bytes.IsEmpty ? 0 : Volatile.Read(ref Index(bytes, offset));
    }

    private void Store(int offset, uint value)
    {
        Span<byte> bytes = page.Bytes.Span;
        if (!bytes.IsEmpty)
        {
            Volatile.Write(ref Index(bytes, offset), value);
            page.Announce(offset, sizeof(uint));
        }
    }

    private static ref uint Index(Span<byte> bytes, int offset) => ref MemoryMarshal.AsRef<uint>(bytes.Slice(offset, sizeof(uint)));
}
