using System.Buffers.Binary;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Network.Frames;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Network;

/// <summary>
/// Takes packets off a transmit ring: a first slot, extras, further slots. Every slot is answered in its order, with the packet copied; what makes no sense of
/// itself is answered with an error, what makes all that follows senseless breaks the ring. One thread.
/// </summary>
internal sealed class TransmitRing(BackRing ring, IFrontEndDomain guest, MulticastFilter multicast)
{
    private const int PageSize = 4096;
    private const int ExtraId = 0;

    private readonly byte[] _entry = new byte[NetAbi.TransmitEntrySize];
    private readonly TransmitRequest[] _slots = new TransmitRequest[NetAbi.MaximumSlots];

    /// <summary>What broke it.</summary>
    public string? Problem { get; private set; }

    public bool FinalCheck() => ring.FinalCheck();

    /// <summary>Shows the answers; whether the guest wants to be told.</summary>
    public bool Push() => ring.Push();

    /// <summary>Takes the next packet.</summary>
    /// <param name="destination">Where it goes; at least 65535 bytes.</param>
    /// <param name="length">Bytes of it.</param>
    /// <param name="offload">What the guest left undone.</param>
    public TransmitStatus TryTake(Span<byte> destination, out int length, out FrameOffload offload)
    {
        length = 0;
        offload = default;
        if (!ring.TryTake(_entry))
        {
            return ring.IsBroken ? Break("an index that makes no sense") : TransmitStatus.Empty;
        }

        TransmitRequest first = TransmitRequest.Read(_entry);
        int extras = 0;
        (GsoKind gso, ushort segment) = (GsoKind.None, 0);
        (byte multicastKind, MacAddress multicastAddress) = (0, default);
        bool more = first.HasExtra;
        while (more)
        {
            // One of each type at most: XEN_NETIF_EXTRA_TYPE_MAX.
            if (++extras > NetAbi.ExtraHash || !ring.TryTake(_entry))
            {
                return Break("a packet without its extras");
            }

            more = (_entry[1] & NetAbi.ExtraMore) != 0;
            switch (_entry[0])
            {
                case NetAbi.ExtraGso:
                    (gso, segment) = ((GsoKind)_entry[4], BinaryPrimitives.ReadUInt16LittleEndian(_entry.AsSpan(2)));
                    break;
                case NetAbi.ExtraMulticastAdd or NetAbi.ExtraMulticastDelete:
                    (multicastKind, multicastAddress) = (_entry[0], MacAddress.Read(_entry.AsSpan(2)));
                    break;
                case NetAbi.ExtraHash:
                    break;
                default:
                    return Break($"an extra of type {_entry[0]}");
            }
        }

        if (gso > GsoKind.TcpV6 || (gso != GsoKind.None && segment == 0))
        {
            return Break("a GSO that makes no sense");
        }

        if (multicastKind != 0)
        {
            bool isDone = multicastKind == NetAbi.ExtraMulticastAdd ? multicast.TryAdd(multicastAddress) : multicast.Remove(multicastAddress);
            Answer(first, extras, 0, isDone ? NetAbi.Okay : NetAbi.Error);
            return TransmitStatus.Answered;
        }

        int slots = 0;
        for (TransmitRequest last = first; last.HasMore; last = _slots[slots - 1])
        {
            if (slots == NetAbi.MaximumSlots - 1 || !ring.TryTake(_entry))
            {
                return Break("a packet without its end");
            }

            _slots[slots++] = TransmitRequest.Read(_entry);
        }

        bool isCopied = TryCopy(first, slots, destination);
        Answer(first, extras, slots, isCopied ? NetAbi.Okay : NetAbi.Error);
        if (!isCopied)
        {
            return TransmitStatus.Answered;
        }

        length = first.Size;
        bool isBlank = (first.Flags & NetAbi.TransmitChecksumBlank) != 0;
        offload = new FrameOffload(isBlank, isBlank || (first.Flags & NetAbi.TransmitDataValidated) != 0, gso, gso == GsoKind.None ? (ushort)0 : segment);
        return TransmitStatus.Packet;
    }

    private bool TryCopy(in TransmitRequest first, int slots, Span<byte> destination)
    {
        int rest = first.Size;
        for (int i = 0; i < slots; i++)
        {
            rest -= _slots[i].Size;
        }

        // The first slot holds what the others do not; public/io/netif.h: "the first request contains the entire packet's size".
        if (first.Size < EthernetHeader.Size || rest <= 0 || !TryCopySlot(first, rest, destination))
        {
            return false;
        }

        int place = rest;
        for (int i = 0; i < slots; i++)
        {
            if (!TryCopySlot(_slots[i], _slots[i].Size, destination[place..]))
            {
                return false;
            }

            place += _slots[i].Size;
        }

        return true;
    }

    private bool TryCopySlot(in TransmitRequest slot, int size, Span<byte> destination)
    {
        if (slot.Offset + size > PageSize || guest.TryMap(new GrantRef(slot.Reference), writable: false) is not { } page)
        {
            return false;
        }

        using (page)
        {
            Span<byte> bytes = page.Bytes.Span;
            if (slot.Offset + size > bytes.Length)
            {
                return false;
            }

            bytes.Slice(slot.Offset, size).CopyTo(destination);
            return true;
        }
    }

    private void Answer(in TransmitRequest first, int extras, int slots, short status)
    {
        Respond(first.Id, status);
        for (int i = 0; i < extras; i++)
        {
            Respond(ExtraId, NetAbi.Null);
        }

        for (int i = 0; i < slots; i++)
        {
            Respond(_slots[i].Id, status);
        }
    }

    private void Respond(ushort id, short status)
    {
        Span<byte> response = stackalloc byte[NetAbi.ResponseSize];
        NetAbi.WriteTransmitResponse(response, id, status);
        ring.Respond(response);
    }

    private TransmitStatus Break(string problem)
    {
        Problem = problem;
        return TransmitStatus.Broken;
    }
}
