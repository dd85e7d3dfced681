using System.Runtime.InteropServices;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>mmu_update, update_va_mapping and update_va_mapping_otherdomain. Source: public/xen.h; Xen's do_mmu_update for errors and their order.</summary>
internal sealed class PageTableUpdates
{
    /// <summary>Requests served before the vCPU looks at what else it has to do.</summary>
    private const uint Batch = 2048;

    private const int RequestSize = 16;
    private const ulong CommandMask = 7;

    private readonly MmuHypercalls _mmu;

    public PageTableUpdates(MmuHypercalls mmu)
    {
        _mmu = mmu;
        HypercallTable calls = mmu.Domain.Hypercalls;
        calls.Add(HypercallNumber.MmuUpdate, MmuUpdate);
        calls.Add(HypercallNumber.UpdateVaMapping, UpdateVaMapping);
        calls.Add(HypercallNumber.UpdateVaMappingOtherDomain, (PvVcpu vcpu, in HypercallArguments a) =>
            _mmu.IsOwn((ushort)a.A4) ? UpdateVaMapping(vcpu, in a) : -Errno.NoSuchProcess);
    }

    private long MmuUpdate(PvVcpu vcpu, in HypercallArguments a)
    {
        // The upper half names the page tables' domain plus one, or is 0 for the caller.
        uint domains = (uint)a.A4;
        if ((domains >> 16 != 0 && !_mmu.IsOwn((domains >> 16) - 1)) || !_mmu.IsOwn(domains & 0xFFFF))
        {
            return -Errno.NoSuchProcess;
        }

        BatchProgress progress = new(vcpu, in a, RequestSize);
        long result = 0;
        Span<ulong> request = stackalloc ulong[2];
        bool goesOn;
        bool flush;
        lock (_mmu.MmuLock)
        {
            _mmu.Types.BeginWork();
            goesOn = _mmu.Types.Settle();
            while (goesOn && !progress.IsComplete)
            {
                if (progress.Done == Batch)
                {
                    goesOn = false;
                    break;
                }

                if (!vcpu.Guest.TryRead(progress.Address, MemoryMarshal.AsBytes(request)))
                {
                    result = -Errno.Fault;
                    break;
                }

                result = Serve(request[0], request[1]);
                if (result == PageTypes.Preempted)
                {
                    goesOn = false;
                    result = 0;
                    break;
                }

                goesOn = _mmu.Types.Finish();
                if (result != 0)
                {
                    // What is left to take apart waits for the next hypercall: the error is the guest's now.
                    goesOn = true;
                    break;
                }

                progress.Advance();
            }

            flush = _mmu.Types.FlushDue;
            _mmu.Types.FlushDue = false;
        }

        if (flush)
        {
            _mmu.Flushes.FlushChanged(ulong.MaxValue);
        }

        return progress.End(result, goesOn);
    }

    private int Serve(ulong pointer, ulong value)
    {
        ulong command = pointer & CommandMask;
        pointer &= ~CommandMask;
        switch (command)
        {
            case (ulong)MmuUpdateCommand.Normal or (ulong)MmuUpdateCommand.NoTranslate:
                return _mmu.WriteEntry(pointer, value, false);
            case (ulong)MmuUpdateCommand.PreserveAccessedDirty:
                return _mmu.WriteEntry(pointer, value, true);
            case (ulong)MmuUpdateCommand.MachineToPhysical:
                ulong frame = pointer >> GuestMemory.PageShift;
                if (!_mmu.Space.IsGuests(frame))
                {
                    return -Errno.Invalid;
                }

                _mmu.Space.SetM2P(frame, value);
                return 0;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private long UpdateVaMapping(PvVcpu vcpu, in HypercallArguments a)
    {
        int error;
        lock (_mmu.MmuLock)
        {
            _mmu.Types.BeginWork();
            if (!_mmu.Types.Settle())
            {
                return HypercallTable.Restart;
            }

            error = -Errno.Invalid;
            if (!IsHypervisors(a.A1)
                && _mmu.TryFindEntry(vcpu.CurrentRoot, a.A1, out ulong entry)
                && _mmu.Space.TryGet(entry >> GuestMemory.PageShift, out int index)
                && _mmu.Space[index].Type == FrameType.L1)
            {
                error = _mmu.Types.Update(entry, 1, a.A2, keepAccessedDirty: false);
            }
        }

        return error == 0 ? Flush(vcpu, a.A1, a.A3) : error;
    }

    private long Flush(PvVcpu vcpu, ulong address, ulong flags)
    {
        ulong type = flags & UpdateVaMappingFlags.FlushTypeMask;
        if (type is not (UpdateVaMappingFlags.FlushAllTranslations or UpdateVaMappingFlags.FlushPage))
        {
            return 0;
        }

        ulong where = flags & ~UpdateVaMappingFlags.FlushTypeMask;
        ulong mask = 1UL << vcpu.Id;
        if (where == UpdateVaMappingFlags.AllVcpus)
        {
            mask = ulong.MaxValue;
        }
        else if (where != UpdateVaMappingFlags.Local && !vcpu.Guest.TryRead(where, out mask))
        {
            return -Errno.Fault;
        }

        if (type == UpdateVaMappingFlags.FlushPage)
        {
            _mmu.Flushes.FlushPage(vcpu, mask, address);
        }
        else
        {
            _mmu.Flushes.FlushChanged(mask);
        }

        return 0;
    }

    private static bool IsHypervisors(ulong address) =>
        address is >= AddressSpaceLayout.MachineToPhysicalStart and < AddressSpaceLayout.HypervisorEnd
        || (ulong)((long)(address << 16) >> 16) != address;
}
