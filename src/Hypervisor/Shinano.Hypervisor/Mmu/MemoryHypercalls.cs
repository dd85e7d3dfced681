using System.Runtime.InteropServices;
using Shinano.Hypervisor.Hypercalls;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>memory_op: reservations, the memory map and the place of the M2P table. Source: public/memory.h.</summary>
public sealed class MemoryHypercalls
{
    private const int MaximumOrder = 9;
    private const int E820Ram = 1;

    /// <summary>Extents served per call before it is restarted: bounded work.</summary>
    private const ulong Batch = 2048;

    private readonly Domain _domain;
    private readonly MmuHypercalls _mmu;
    private readonly MachineSpace _space;
    private readonly ulong _mapPages;

    public MemoryHypercalls(Domain domain, MmuHypercalls mmu)
    {
        _domain = domain;
        _mmu = mmu;
        _space = mmu.Space;
        _mapPages = _space.MaximumPages;
        domain.Hypercalls.Add(HypercallNumber.MemoryOp, MemoryOp);
    }

    private long MemoryOp(PvVcpu vcpu, in HypercallArguments a)
    {
        // The upper bits carry a continuation's progress (public/memory.h: MEMOP_EXTENT_SHIFT is Xen's own affair).
        ulong start = a.A1 >> 6;
        switch (a.A1 & 63)
        {
            case 0:
                return Reserve(vcpu, a.A2, start, a.A1, Increase);
            case 1:
                return Reserve(vcpu, a.A2, start, a.A1, Decrease);
            case 6:
                return Reserve(vcpu, a.A2, start, a.A1, Populate);
            case 2: // XENMEM_maximum_ram_page
                return (long)_space.EndFrame - 1;
            case 3 or 4: // XENMEM_current_reservation, XENMEM_maximum_reservation
                if (!vcpu.Guest.TryRead(a.A2, out ushort domain))
                {
                    return -Errno.Fault;
                }

                return !IsOwn(domain) ? -Errno.Perm : (long)((a.A1 & 63) == 3 ? _space.TotalPages : _space.MaximumPages);
            case 5: // XENMEM_machphys_mfn_list: privileged since the M2P became read-only
                return -Errno.Perm;
            case 9: // XENMEM_memory_map
                return MemoryMap(vcpu, a.A2);
            case 11:
                return Exchange(vcpu, a.A2);
            case 12: // XENMEM_machphys_mapping
                ReadOnlySpan<ulong> mapping =
                [
                    AddressSpaceLayout.MachineToPhysicalStart,
                    AddressSpaceLayout.MachineToPhysicalStart + (_space.EndFrame * 8),
                    _space.EndFrame - 1,
                ];
                return vcpu.Guest.TryWrite(a.A2, MemoryMarshal.AsBytes(mapping)) ? 0 : -Errno.Fault;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private bool IsOwn(ushort domain) => domain == DomainId.Self.Value || domain == _domain.Id.Value;

    private long Reserve(PvVcpu vcpu, ulong address, ulong start, ulong command, ExtentOperation operation)
    {
        if (!vcpu.Guest.TryRead(address, out Reservation reservation))
        {
            return -Errno.Fault;
        }

        if (!IsOwn(reservation.Domain) || start > reservation.Extents || reservation.Order > MaximumOrder)
        {
            return (long)start;
        }

        ulong end = Math.Min(reservation.Extents, start + Batch);
        ulong done = start;
        lock (_mmu.MmuLock)
        {
            while (done < end && operation(vcpu, reservation.Start + (done * 8), (int)reservation.Order))
            {
                done++;
            }
        }

        if (done < end || done == reservation.Extents)
        {
            return (long)done;
        }

        vcpu.SetArgument(0, (command & 63) | (done << 6));
        return HypercallTable.Restart;
    }

    private bool Increase(PvVcpu vcpu, ulong slot, int order)
    {
        ulong frame = _space.Allocate(order);
        return frame != 0 && (slot < 8 || vcpu.Guest.TryWrite(slot, frame));
    }

    private bool Populate(PvVcpu vcpu, ulong slot, int order)
    {
        if (!vcpu.Guest.TryRead(slot, out ulong pfn))
        {
            return false;
        }

        ulong frame = _space.Allocate(order);
        if (frame == 0)
        {
            return false;
        }

        for (ulong i = 0; i < 1UL << order; i++)
        {
            _space.SetM2P(frame + i, pfn + i);
        }

        return vcpu.Guest.TryWrite(slot, frame);
    }

    private bool Decrease(PvVcpu vcpu, ulong slot, int order)
    {
        if (!vcpu.Guest.TryRead(slot, out ulong frame))
        {
            return false;
        }

        for (ulong i = 0; i < 1UL << order; i++)
        {
            if (!TryFree(vcpu, frame + i))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Takes a frame back if no entry, pin or root refers to it.</summary>
    private bool TryFree(PvVcpu vcpu, ulong frame)
    {
        if (!_space.TryGet(frame, out int index)
            || _space[index].Owner != FrameOwner.Guest
            || _space[index].TypeCount > 0
            || _space[index].References > 0)
        {
            return false;
        }

        _space.Free(frame);

        // Translations of the frame may linger although no entry names it: they must not outlive it.
        foreach (PvVcpu other in _domain.Vcpus)
        {
            other.Cpu.RequestFlush();
        }

        foreach (PvVcpu other in _domain.Vcpus)
        {
            if (other != vcpu)
            {
                other.Cpu.WaitUntilFlushed();
            }
        }

        return true;
    }

    private long Exchange(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out ExchangeRequest request))
        {
            return -Errno.Fault;
        }

        if (!IsOwn(request.In.Domain) || !IsOwn(request.Out.Domain) || request.Exchanged != 0
            || request.In.Order > MaximumOrder || request.Out.Order > MaximumOrder
            || request.In.Extents > Batch || request.Out.Extents > Batch
            || request.In.Extents << (int)request.In.Order != request.Out.Extents << (int)request.Out.Order)
        {
            return -Errno.Invalid;
        }

        lock (_mmu.MmuLock)
        {
            ulong[] frames = new ulong[request.In.Extents << (int)request.In.Order];
            for (ulong i = 0; i < request.In.Extents; i++)
            {
                if (!vcpu.Guest.TryRead(request.In.Start + (i * 8), out ulong frame))
                {
                    return -Errno.Fault;
                }

                for (ulong j = 0; j < 1UL << (int)request.In.Order; j++)
                {
                    frames[(i << (int)request.In.Order) + j] = frame + j;
                    if (!_space.TryGet(frame + j, out int index) || _space[index].Owner != FrameOwner.Guest
                        || _space[index].TypeCount > 0 || _space[index].References > 0)
                    {
                        return -Errno.Invalid;
                    }
                }
            }

            ulong[] given = new ulong[request.Out.Extents];
            for (int i = 0; i < given.Length; i++)
            {
                given[i] = _space.Allocate((int)request.Out.Order, exchange: true);
                if (given[i] == 0)
                {
                    foreach (ulong back in given.Take(i))
                    {
                        for (ulong j = 0; j < 1UL << (int)request.Out.Order; j++)
                        {
                            _space.Free(back + j);
                        }
                    }

                    return -Errno.NoMemory;
                }
            }

            foreach (ulong frame in frames.Distinct())
            {
                TryFree(vcpu, frame);
            }

            for (int i = 0; i < given.Length; i++)
            {
                ulong slot = request.Out.Start + ((ulong)i * 8);
                if (!vcpu.Guest.TryRead(slot, out ulong pfn) || !vcpu.Guest.TryWrite(slot, given[i]))
                {
                    return -Errno.Fault;
                }

                for (ulong j = 0; j < 1UL << (int)request.Out.Order; j++)
                {
                    _space.SetM2P(given[i] + j, pfn + j);
                }
            }

            // xen_memory_exchange.nr_exchanged follows the two reservations.
            return vcpu.Guest.TryWrite(address + 64, request.In.Extents) ? 0 : -Errno.Fault;
        }
    }

    private long MemoryMap(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out MapRequest request))
        {
            return -Errno.Fault;
        }

        if (request.Entries < 1)
        {
            return -Errno.Invalid;
        }

        Span<byte> entry = stackalloc byte[20];
        entry.Clear();
        MemoryMarshal.Write(entry[8..], _mapPages << 12);
        MemoryMarshal.Write(entry[16..], E820Ram);
        return vcpu.Guest.TryWrite(request.Buffer, entry) && vcpu.Guest.TryWrite(address, 1u) ? 0 : -Errno.Fault;
    }

    private delegate bool ExtentOperation(PvVcpu vcpu, ulong slot, int order);

    /// <summary>struct xen_memory_reservation.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Reservation
    {
        public readonly ulong Start;
        public readonly ulong Extents;
        public readonly uint Order;
        public readonly uint Flags;
        public readonly ushort Domain;
    }

    /// <summary>struct xen_memory_exchange.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct ExchangeRequest
    {
        public readonly Reservation In;
        public readonly Reservation Out;
        public readonly ulong Exchanged;
    }

    /// <summary>struct xen_memory_map.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct MapRequest
    {
        public readonly uint Entries;
        public readonly ulong Buffer;
    }
}
