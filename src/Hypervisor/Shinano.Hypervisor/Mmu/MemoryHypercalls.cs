using System.Runtime.InteropServices;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// memory_op: reservations, the memory map and the place of the M2P table. Source: public/memory.h; Xen's do_memory_op and arch_memory_op for errors and their order.
/// </summary>
public sealed class MemoryHypercalls
{
    /// <summary>Largest extent of a domain without devices, as a power of two. Source: Xen's CONFIG_DOMU_MAX_ORDER.</summary>
    private const int MaximumOrder = 9;

    /// <summary>Bits of the command before a continuation's progress. Source: Xen's MEMOP_EXTENT_SHIFT.</summary>
    private const int ProgressShift = 6;

    private const ulong OperationMask = (1 << ProgressShift) - 1;

    /// <summary>Pages served per call before it is restarted.</summary>
    private const ulong Batch = 4096;

    private const int MapEntrySize = 20;
    private const uint MapEntriesLimit = 1024;
    private const uint MapRam = 1;

    /// <summary>M2P bytes per extent of XENMEM_machphys_mfn_list.</summary>
    private const ulong ListExtent = 2 << 20;

    /// <summary>Offset of arch.max_pfn in struct shared_info (public/xen.h): 32 vCPU infos of 64 bytes, two bitmaps of 512, and the wall clock.</summary>
    private const ulong MaximumFrameOffset = (32 * 64) + (2 * 512) + 16;

    private readonly MmuHypercalls _mmu;
    private readonly MachineSpace _space;
    private readonly MemoryExchange _exchange;
    private byte[] _map;

    public MemoryHypercalls(Domain domain, MmuHypercalls mmu)
    {
        _mmu = mmu;
        _space = mmu.Space;
        _exchange = new MemoryExchange(mmu);
        _map = new byte[MapEntrySize];
        MemoryMarshal.Write(_map.AsSpan(8), _space.MaximumPages << GuestMemory.PageShift);
        MemoryMarshal.Write(_map.AsSpan(16), MapRam);
        domain.Hypercalls.Add(HypercallNumber.MemoryOp, MemoryOp);
    }

    private delegate bool ExtentOperation(PvVcpu vcpu, ulong slot, int order);

    private long MemoryOp(PvVcpu vcpu, in HypercallArguments a)
    {
        ulong start = a.A1 >> ProgressShift;
        MemoryOperation operation = (MemoryOperation)(a.A1 & OperationMask);
        switch (operation)
        {
            case MemoryOperation.IncreaseReservation:
                return Reserve(vcpu, a.A2, start, a.A1, Increase);
            case MemoryOperation.DecreaseReservation:
                return Reserve(vcpu, a.A2, start, a.A1, Decrease);
            case MemoryOperation.PopulatePhysmap:
                return Reserve(vcpu, a.A2, start, a.A1, Populate);
        }

        return start == 0 ? Query(vcpu, operation, a.A2) : -Errno.Invalid;
    }

    private long Query(PvVcpu vcpu, MemoryOperation operation, ulong address)
    {
        switch (operation)
        {
            case MemoryOperation.MaximumRamPage:
                return (long)_space.EndFrame;
            case MemoryOperation.CurrentReservation or MemoryOperation.MaximumReservation or MemoryOperation.MaximumGuestFrame:
                return Reservation(vcpu, operation, address);
            case MemoryOperation.MachineToPhysicalFrames:
                return ListM2PFrames(vcpu, address);
            case MemoryOperation.MemoryMap:
                return ReadMap(vcpu, address);
            case MemoryOperation.SetMemoryMap:
                return WriteMap(vcpu, address);
            case MemoryOperation.Exchange:
                return _exchange.Serve(vcpu, address, MaximumOrder);
            case MemoryOperation.MachineToPhysicalMapping:
                ReadOnlySpan<ulong> mapping =
                    [AddressSpaceLayout.MachineToPhysicalStart, AddressSpaceLayout.MachineToPhysicalEnd, _space.EndFrame - 1];
                return vcpu.Guest.TryWrite(address, MemoryMarshal.AsBytes(mapping)) ? 0 : -Errno.Fault;
            case MemoryOperation.AddToPhysmap or MemoryOperation.RemoveFromPhysmap or MemoryOperation.AddToPhysmapBatch:
                // For auto-translated guests.
                return -Errno.Access;
            case MemoryOperation.MachineMemoryMap or MemoryOperation.ClaimPages or MemoryOperation.AcquireResource:
                return -Errno.Perm;
            case MemoryOperation.SharingFreedPages or MemoryOperation.SharingSharedPages:
                return 0;
            case MemoryOperation.CompatMachineToPhysicalFrames or MemoryOperation.VirtualNumaInfo or MemoryOperation.ReservedDeviceMemoryMap:
                return -Errno.NotSupported;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private long Reservation(PvVcpu vcpu, MemoryOperation operation, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out ushort domain))
        {
            return -Errno.Fault;
        }

        if (!_mmu.IsOwn(domain))
        {
            return -Errno.NoSuchProcess;
        }

        switch (operation)
        {
            case MemoryOperation.CurrentReservation:
                return (long)_space.TotalPages;
            case MemoryOperation.MaximumReservation:
                return (long)_space.MaximumPages;
            default:
                // PV guests give the number of their frames in arch.max_pfn.
                _space.Memory.TryReadUInt64(vcpu.Domain.SharedInfoFrame.Address + MaximumFrameOffset, out ulong frames);
                return (long)(frames == 0 ? 0 : frames - 1);
        }
    }

    private long Reserve(PvVcpu vcpu, ulong address, ulong start, ulong command, ExtentOperation operation)
    {
        if (!vcpu.Guest.TryRead(address, out MemoryReservation reservation)
            || reservation.Extents > uint.MaxValue >> ProgressShift
            || start >= reservation.Extents
            || !_mmu.IsOwn(reservation.Domain)
            || reservation.Order > MaximumOrder)
        {
            return (long)start;
        }

        int order = (int)reservation.Order;
        ulong end = Math.Min(reservation.Extents, start + Math.Max(1, Batch >> order));
        ulong done = start;
        lock (_mmu.MmuLock)
        {
            using MachineSpace.FreeBatch frees = _space.CollectFrees();
            while (done < end && operation(vcpu, reservation.Start == 0 ? 0 : reservation.Start + (done * sizeof(ulong)), order))
            {
                done++;
            }
        }

        if (done < end || done == reservation.Extents)
        {
            return (long)done;
        }

        vcpu.SetArgument(0, (command & OperationMask) | (done << ProgressShift));
        return HypercallTable.Restart;
    }

    private bool Increase(PvVcpu vcpu, ulong slot, int order)
    {
        ulong frame = _space.Allocate(order);
        return frame != 0 && (slot == 0 || vcpu.Guest.TryWrite(slot, frame));
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
            if (_mmu.Types.GiveBack(frame + i) != 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>First frames of each 2 MiB of the M2P table; 0 for the part below our first machine frame.</summary>
    private long ListM2PFrames(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out FrameList list))
        {
            return -Errno.Fault;
        }

        ulong extents = Math.Min(list.MaximumExtents, ((_space.EndFrame * sizeof(ulong)) + ListExtent - 1) / ListExtent);
        ulong gap = MachineSpace.FirstFrame * sizeof(ulong) / ListExtent;
        for (ulong i = 0; i < extents; i++)
        {
            ulong frame = i < gap ? 0 : _space.FirstM2PFrame + ((i - gap) * (ListExtent / GuestMemory.PageSize));
            if (!vcpu.Guest.TryWrite(list.Start + (i * sizeof(ulong)), frame))
            {
                return -Errno.Fault;
            }
        }

        list.Extents = (uint)extents;
        return vcpu.Guest.TryWrite(address, list) ? 0 : -Errno.Fault;
    }

    private long ReadMap(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out MapRequest request))
        {
            return -Errno.Fault;
        }

        byte[] map = Volatile.Read(ref _map);
        uint entries = Math.Min(request.Entries, (uint)(map.Length / MapEntrySize));
        return vcpu.Guest.TryWrite(request.Buffer, map.AsSpan(0, (int)entries * MapEntrySize)) && vcpu.Guest.TryWrite(address, entries)
            ? 0
            : -Errno.Fault;
    }

    private long WriteMap(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out ForeignMapRequest request))
        {
            return -Errno.Fault;
        }

        if (request.Map.Entries > MapEntriesLimit)
        {
            return -Errno.Invalid;
        }

        if (!_mmu.IsOwn(request.Domain))
        {
            return -Errno.NoSuchProcess;
        }

        byte[] map = new byte[request.Map.Entries * MapEntrySize];
        if (!vcpu.Guest.TryRead(request.Map.Buffer, map))
        {
            return -Errno.Fault;
        }

        Volatile.Write(ref _map, map);
        return 0;
    }

    /// <summary>struct xen_memory_map.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct MapRequest
    {
        public readonly uint Entries;
        public readonly ulong Buffer;
    }

    /// <summary>struct xen_foreign_memory_map.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct ForeignMapRequest
    {
        public readonly ushort Domain;
        public readonly MapRequest Map;
    }

    /// <summary>struct xen_machphys_mfn_list.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct FrameList
    {
        public uint MaximumExtents;
        public ulong Start;
        public uint Extents;
    }
}
