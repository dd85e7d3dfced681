using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Devices.Paravirtual.Framebuffer;

/// <summary>
/// The shared page of a framebuffer or a keyboard: two rings of 40-byte events whose indices run freely and are taken modulo a size that is no power of two. All of
/// it is the guest's and hostile. Calls of one direction come one at a time.
/// </summary>
/// <remarks>
/// Source: public/io/fbif.h: struct xenfb_page, public/io/kbdif.h: struct xenkbd_page.
/// <code>
///   0  in_cons   4  in_prod  (to the guest)      8  out_cons  12  out_prod  (of the guest)
/// </code>
/// </remarks>
/// <param name="page">Mapped for writing; disposed by the caller.</param>
/// <param name="inOffset">Offset of the ring to the guest, in bytes.</param>
/// <param name="inSize">Its bytes.</param>
/// <param name="outOffset">Offset of the guest's ring.</param>
/// <param name="outSize">Its bytes.</param>
internal sealed class EventPage(IGrantedPage page, int inOffset, int inSize, int outOffset, int outSize)
{
    /// <summary>Bytes of an event. Source: XENFB_OUT_EVENT_SIZE, XENKBD_IN_EVENT_SIZE.</summary>
    public const int EventSize = 40;

    private const int InConsumer = 0;
    private const int InProducer = 4;
    private const int OutConsumer = 8;
    private const int OutProducer = 12;

    /// <summary>Bytes of the page that a back end needs to be granted.</summary>
    public const int PageSize = 4096;

    /// <summary>Events to the guest that fit.</summary>
    public int InLength => inSize / EventSize;

    /// <summary>Events of the guest that fit.</summary>
    public int OutLength => outSize / EventSize;

    /// <summary>A number of the page's head.</summary>
    public int ReadInt32(int offset) => (int)Volatile.Read(ref Word(offset));

    /// <summary>Copies a part of the page.</summary>
    public void Copy(int offset, Span<byte> destination) => page.Bytes.Span.Slice(offset, destination.Length).CopyTo(destination);

    /// <summary>Takes the guest's next event.</summary>
    /// <param name="event">Gets a copy.</param>
    /// <param name="lost">The indices made no sense: everything up to the producer was given up.</param>
    /// <returns>False when there is none.</returns>
    public bool TryTake(Span<byte> @event, out bool lost)
    {
        uint consumer = Volatile.Read(ref Word(OutConsumer));
        uint producer = Volatile.Read(ref Word(OutProducer));
        lost = producer - consumer > (uint)OutLength;
        if (lost)
        {
            Store(OutConsumer, producer);
            return false;
        }

        if (producer == consumer)
        {
            return false;
        }

        Copy(outOffset + ((int)(consumer % (uint)OutLength) * EventSize), @event[..EventSize]);
        Store(OutConsumer, consumer + 1);
        return true;
    }

    /// <summary>Room for events to the guest; none also when the indices make no sense.</summary>
    public int Room
    {
        get
        {
            uint used = Volatile.Read(ref Word(InProducer)) - Volatile.Read(ref Word(InConsumer));
            return used > (uint)InLength ? 0 : InLength - (int)used;
        }
    }

    /// <summary>Gives the guest an event: a type, then 32-bit numbers from the given offset on.</summary>
    /// <returns>False when there is no room.</returns>
    public bool TryPut(byte type, ReadOnlySpan<int> numbers, byte second = 0)
    {
        if (Room == 0)
        {
            return false;
        }

        uint producer = Volatile.Read(ref Word(InProducer));
        Span<byte> @event = stackalloc byte[EventSize];
        @event.Clear();
        @event[0] = type;
        @event[1] = second;
        for (int i = 0; i < numbers.Length; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(@event[(4 + (4 * i))..], numbers[i]);
        }

        int offset = inOffset + ((int)(producer % (uint)InLength) * EventSize);
        @event.CopyTo(page.Bytes.Span[offset..]);
        page.Announce(offset, EventSize);
        Store(InProducer, producer + 1);
        return true;
    }

    private void Store(int offset, uint value)
    {
        Volatile.Write(ref Word(offset), value);
        page.Announce(offset, sizeof(uint));
    }

    private ref uint Word(int offset) => ref MemoryMarshal.AsRef<uint>(page.Bytes.Span.Slice(offset, sizeof(uint)));
}
