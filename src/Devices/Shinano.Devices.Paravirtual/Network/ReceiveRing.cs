using System.Buffers.Binary;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Network.Frames;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Network;

/// <summary>Copies packets into the buffers that the guest posts on a receive ring, in their order. One thread.</summary>
internal sealed class ReceiveRing(BackRing ring, IFrontEndDomain guest, FrontEndFeatures features)
{
    private const int PageSize = 4096;

    private readonly byte[] _entry = new byte[NetAbi.ReceiveEntrySize];
    private readonly Queue<(ushort Id, uint Reference)> _buffers = [];

    public bool IsBroken => ring.IsBroken;

    /// <summary>Entries of the ring: no packet takes more.</summary>
    public uint Size => ring.Size;

    /// <summary>Slots that a packet takes; 0 when the guest cannot have it as it is.</summary>
    public int SlotsOf(int length, FrameOffload offload)
    {
        int pages = (length + PageSize - 1) / PageSize;
        int slots = pages + (offload.Gso == GsoKind.None ? 0 : 1);
        return length == 0 || (pages > 1 && !features.ScatterGather) || slots > NetAbi.MaximumSlots ? 0 : slots;
    }

    /// <summary>Whether there are so many buffers; asks for an event at the next one when there are not.</summary>
    public bool HasBuffers(int slots)
    {
        if (_buffers.Count >= slots)
        {
            return true;
        }

        do
        {
            while (_buffers.Count < ring.Size && ring.TryTake(_entry))
            {
                _buffers.Enqueue((BinaryPrimitives.ReadUInt16LittleEndian(_entry), BinaryPrimitives.ReadUInt32LittleEndian(_entry.AsSpan(4))));
            }

            if (_buffers.Count >= slots)
            {
                return true;
            }
        }
        while (!ring.IsBroken && ring.FinalCheck());

        return false;
    }

    /// <summary>Copies a packet for which there are buffers.</summary>
    /// <returns>False when the guest had granted a page that is none: the guest drops the packet.</returns>
    public bool Put(ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        bool isWhole = true;
        ushort flags = (ushort)((offload.ChecksumBlank ? NetAbi.ReceiveChecksumBlank | NetAbi.ReceiveDataValidated : 0)
            | (offload.ChecksumValid ? NetAbi.ReceiveDataValidated : 0)
            | (offload.Gso != GsoKind.None ? NetAbi.ExtraInfo : 0));
        bool needsExtra = offload.Gso != GsoKind.None;
        Span<byte> response = stackalloc byte[NetAbi.ReceiveEntrySize];
        while (!frame.IsEmpty)
        {
            (ushort id, uint reference) = _buffers.Dequeue();
            int length = Math.Min(frame.Length, PageSize);
            bool isLast = length == frame.Length;
            bool isCopied = TryCopy(reference, frame[..length]);
            isWhole &= isCopied;
            NetAbi.WriteReceiveResponse(response, id, (ushort)(flags | (isLast ? 0 : NetAbi.MoreData)), isCopied ? (short)length : NetAbi.Error);
            ring.Respond(response);
            frame = frame[length..];
            flags = 0;
            if (needsExtra)
            {
                // In the slot of the next buffer, which the front end posts again.
                _buffers.Dequeue();
                NetAbi.WriteGso(response, offload);
                ring.Respond(response);
                needsExtra = false;
            }
        }

        return isWhole;
    }

    /// <summary>Shows the packets; whether the guest wants to be told.</summary>
    public bool Push() => ring.Push();

    private bool TryCopy(uint reference, ReadOnlySpan<byte> bytes)
    {
        if (guest.TryMap(new GrantRef(reference), writable: true) is not { } page)
        {
            return false;
        }

        using (page)
        {
            Span<byte> place = page.Bytes.Span;
            if (!page.IsWritable || place.Length < bytes.Length)
            {
                return false;
            }

            bytes.CopyTo(place);
            page.Announce(0, bytes.Length);
            return true;
        }
    }
}
