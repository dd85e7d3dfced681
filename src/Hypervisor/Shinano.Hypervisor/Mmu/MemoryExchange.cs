using System.Runtime.InteropServices;
using Shinano.Hypervisor.Hypercalls;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// XENMEM_exchange: gives frames back and gets others, in runs of another size. Chunk by chunk, a chunk being the larger of both sizes; a chunk is exchanged
/// whole or not at all. Source: public/memory.h; Xen's memory_exchange for errors and their order.
/// </summary>
internal sealed class MemoryExchange(MmuHypercalls mmu)
{
    /// <summary>Pages exchanged before the call is restarted.</summary>
    private const ulong Batch = 8192;

    private const ulong ExchangedOffset = 64;

    private readonly MachineSpace _space = mmu.Space;

    public long Serve(PvVcpu vcpu, ulong address, int maximumOrder)
    {
        if (!vcpu.Guest.TryRead(address, out Request request))
        {
            return -Errno.Fault;
        }

        ref MemoryReservation source = ref request.In;
        ref MemoryReservation target = ref request.Out;
        long error = Validate(in request, maximumOrder);
        if (error != 0 || request.Exchanged == source.Extents)
        {
            return error;
        }

        int chunkOrder = (int)Math.Max(source.Order, target.Order);
        int sourceShift = chunkOrder - (int)source.Order;
        int targetShift = chunkOrder - (int)target.Order;
        ulong chunk = request.Exchanged >> sourceShift;
        ulong chunks = source.Extents >> sourceShift;
        ulong last = Math.Min(chunks, chunk + Math.Max(1, Batch >> chunkOrder));
        lock (mmu.MmuLock)
        {
            for (; chunk < last && error == 0; chunk++)
            {
                error = ExchangeChunk(
                    vcpu, source.Start + ((chunk << sourceShift) * sizeof(ulong)), 1 << sourceShift, (int)source.Order,
                    target.Start + ((chunk << targetShift) * sizeof(ulong)), 1 << targetShift, (int)target.Order);
                if (error != 0)
                {
                    break;
                }
            }
        }

        ulong exchanged = chunk == chunks ? source.Extents : chunk << sourceShift;
        if (!vcpu.Guest.TryWrite(address + ExchangedOffset, exchanged))
        {
            return -Errno.Fault;
        }

        return error != 0 || chunk == chunks ? error : HypercallTable.Restart;
    }

    private long Validate(in Request request, int maximumOrder)
    {
        if (Math.Max(request.In.Order, request.Out.Order) > maximumOrder)
        {
            return -Errno.Perm;
        }

        if (request.Exchanged > request.In.Extents
            || request.In.Domain != request.Out.Domain
            || ulong.MaxValue >> (int)request.In.Order < request.In.Extents
            || ulong.MaxValue >> (int)request.Out.Order < request.Out.Extents
            || request.In.Extents << (int)request.In.Order != request.Out.Extents << (int)request.Out.Order)
        {
            return -Errno.Invalid;
        }

        return mmu.IsOwn(request.In.Domain) ? 0 : -Errno.NoSuchProcess;
    }

    private long ExchangeChunk(
        PvVcpu vcpu, ulong sourceList, int sourceCount, int sourceOrder, ulong targetList, int targetCount, int targetOrder)
    {
        List<ulong> stolen = new(sourceCount << sourceOrder);
        List<ulong> given = new(targetCount);
        long error = Steal(vcpu, sourceList, sourceCount, sourceOrder, stolen);
        while (error == 0 && given.Count < targetCount)
        {
            ulong first = _space.Allocate(targetOrder, exchange: true);
            if (first == 0)
            {
                error = -Errno.NoMemory;
            }
            else
            {
                given.Add(first);
            }
        }

        if (error != 0)
        {
            foreach (ulong frame in stolen)
            {
                SetLeaving(frame, false);
            }

            foreach (ulong frame in given.SelectMany(first => Run(first, targetOrder)))
            {
                _space.Free(frame);
            }

            return error;
        }

        using (_space.CollectFrees())
        {
            foreach (ulong frame in stolen)
            {
                SetLeaving(frame, false);
                mmu.Types.GiveBack(frame);
            }
        }

        for (int i = 0; i < given.Count; i++)
        {
            ulong slot = targetList + ((ulong)i * sizeof(ulong));
            if (!vcpu.Guest.TryRead(slot, out ulong pfn))
            {
                error = -Errno.Fault;
                continue;
            }

            foreach (ulong frame in Run(given[i], targetOrder))
            {
                _space.SetM2P(frame, pfn++);
            }

            error = vcpu.Guest.TryWrite(slot, given[i]) ? error : -Errno.Fault;
        }

        return error;
    }

    /// <summary>Sets aside the frames that are given back: the guest's own, to which nothing refers. Each only once.</summary>
    private long Steal(PvVcpu vcpu, ulong list, int count, int order, List<ulong> stolen)
    {
        for (int i = 0; i < count; i++)
        {
            if (!vcpu.Guest.TryRead(list + ((ulong)i * sizeof(ulong)), out ulong first))
            {
                return -Errno.Fault;
            }

            foreach (ulong frame in Run(first, order))
            {
                if (!_space.TryGet(frame, out int index)
                    || _space[index].Owner != FrameOwner.Guest
                    || _space[index].References != 0
                    || _space[index].Leaving)
                {
                    return -Errno.Invalid;
                }

                SetLeaving(frame, true);
                stolen.Add(frame);
            }
        }

        return 0;
    }

    private void SetLeaving(ulong frame, bool value)
    {
        _space.TryGet(frame, out int index);
        _space[index].Leaving = value;
    }

    private static IEnumerable<ulong> Run(ulong first, int order)
    {
        for (ulong i = 0; i < 1UL << order; i++)
        {
            yield return first + i;
        }
    }

    /// <summary>struct xen_memory_exchange.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Request
    {
        public MemoryReservation In;
        public MemoryReservation Out;
        public ulong Exchanged;
    }
}
