using System.Runtime.InteropServices;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Traps;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Time;

/// <summary>vcpu_op and set_timer_op: bringing vCPUs up, their shared areas and timers. Source: public/vcpu.h: VCPUOP_*.</summary>
public sealed class VcpuHypercalls
{
    private const int TimeInfoSize = 32;
    private const ulong TimeInfoOffset = 32;
    private const int VcpuInfoSize = 64;
    private const ulong ShortestPeriod = 1_000_000;
    private const int TimeExpired = 62;
    private const uint SingleShotFuture = 1;

    private readonly Domain _domain;
    private readonly MmuHypercalls _mmu;
    private readonly DomainClock _clock;
    private readonly DomainTimers _timers;
    private readonly RunStateAccount[] _accounts;
    private readonly bool[] _initialised;
    private readonly bool[] _movedInfo;

    public VcpuHypercalls(Domain domain, MmuHypercalls mmu, DomainClock clock, DomainTimers timers, Func<bool> marksRunStateUpdates)
    {
        _domain = domain;
        _mmu = mmu;
        _clock = clock;
        _timers = timers;
        _accounts = [.. domain.Vcpus.Select(_ => new RunStateAccount(clock, marksRunStateUpdates))];
        _initialised = new bool[domain.Vcpus.Count];
        _movedInfo = new bool[domain.Vcpus.Count];
        _initialised[0] = true;
        foreach (PvVcpu vcpu in domain.Vcpus)
        {
            vcpu.Scheduling.StateChanged = _accounts[vcpu.Id].Enter;
            WriteTimeInfo(vcpu);
        }

        domain.Hypercalls.Add(HypercallNumber.VcpuOp, Operate);
        domain.Hypercalls.Add(HypercallNumber.SetTimerOp, SetTimer);
    }

    private static ReadOnlySpan<byte> AllOnes => [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

    private long Operate(PvVcpu caller, in HypercallArguments a)
    {
        if (a.A2 >= (ulong)_domain.Vcpus.Count)
        {
            return -Errno.NoEntry;
        }

        PvVcpu target = _domain.Vcpus[(int)a.A2];
        switch (a.A1)
        {
            case 0:
                return Initialise(caller, target, a.A3);
            case 1: // VCPUOP_up
                if (!_initialised[target.Id])
                {
                    return -Errno.Invalid;
                }

                target.Online = true;
                target.Notify();
                return 0;
            case 2: // VCPUOP_down
                if (_domain.Vcpus.All(v => v == target || !v.Online))
                {
                    // As on Xen: the last vCPU going down is the domain's end.
                    _domain.RequestShutdown(ShutdownReason.PowerOff);
                }

                target.Online = false;
                target.Notify();
                return 0;
            case 3: // VCPUOP_is_up
                return target.Online ? 1 : 0;
            case 4: // VCPUOP_get_runstate_info
                Span<byte> info = stackalloc byte[RunStateAccount.Size];
                _accounts[target.Id].Write(info);
                return caller.Guest.TryWrite(a.A3, info) ? 0 : -Errno.Fault;
            case 5: // VCPUOP_register_runstate_memory_area
                if (!caller.Guest.TryRead(a.A3, out ulong area))
                {
                    return -Errno.Fault;
                }

                _accounts[target.Id].GuestArea = area;
                if (target == caller)
                {
                    _accounts[target.Id].Publish(caller);
                }

                return 0;
            case 6: // VCPUOP_set_periodic_timer
                if (!caller.Guest.TryRead(a.A3, out ulong period))
                {
                    return -Errno.Fault;
                }

                if (period is < ShortestPeriod or > long.MaxValue)
                {
                    return -Errno.Invalid;
                }

                _timers.SetPeriod(target.Id, period);
                return 0;
            case 7: // VCPUOP_stop_periodic_timer
                _timers.SetPeriod(target.Id, null);
                return 0;
            case 8: // VCPUOP_set_singleshot_timer
                return target == caller ? SetSingleShot(caller, a.A3) : -Errno.Invalid;
            case 9: // VCPUOP_stop_singleshot_timer
                if (target != caller)
                {
                    return -Errno.Invalid;
                }

                _timers.SetSingleShot(target.Id, null);
                return 0;
            case 10:
                return MoveInfo(caller, target, a.A3);
            case 11: // VCPUOP_send_nmi
                target.Traps.RaiseNmi();
                target.Notify();
                return 0;
            case 13: // VCPUOP_register_vcpu_time_memory_area
                Span<byte> time = stackalloc byte[TimeInfoSize];
                _clock.WriteTimeInfo(time);
                return caller.Guest.TryRead(a.A3, out ulong place)
                    ? caller.Guest.TryWriteKernel(place, time) ? 0 : -Errno.Fault
                    : -Errno.Fault;
            default:
                // VCPUOP_get_physid is for the hardware domain.
                return -Errno.NoSystemCall;
        }
    }

    private long Initialise(PvVcpu caller, PvVcpu target, ulong address)
    {
        byte[] context = new byte[VcpuContext.Size];
        if (!caller.Guest.TryRead(address, context))
        {
            return -Errno.Fault;
        }

        lock (_initialised)
        {
            if (_initialised[target.Id])
            {
                return -Errno.Exists;
            }

            ulong entries = VcpuContext.GdtEntries(context);
            if (entries > (ulong)AddressSpaceLayout.GuestGdtFrames * 512 || VcpuContext.Ldt(context).Entries != 0)
            {
                return -Errno.Invalid;
            }

            int error = _mmu.LoadGdt(target, VcpuContext.GdtFrames(context).AsSpan(0, (int)((entries + 511) / 512)));
            if (error == 0)
            {
                error = _mmu.LoadRoot(target, VcpuContext.KernelRoot(context).Value, user: false);
            }

            if (error == 0 && VcpuContext.UserRoot(context).Value != 0)
            {
                error = _mmu.LoadRoot(target, VcpuContext.UserRoot(context).Value, user: true);
            }

            long result = error != 0 ? error : VcpuContext.Apply(target, context);
            if (result == 0)
            {
                target.ShowDescriptorTables();
                _initialised[target.Id] = true;
            }

            return result;
        }
    }

    private long MoveInfo(PvVcpu caller, PvVcpu target, ulong address)
    {
        if (!caller.Guest.TryRead(address, out InfoPlace place))
        {
            return -Errno.Fault;
        }

        if (_movedInfo[target.Id] || place.Offset > 4096 - VcpuInfoSize || (place.Offset & 7) != 0 || (target != caller && target.Online))
        {
            return -Errno.Invalid;
        }

        lock (_mmu.MmuLock)
        {
            // The reference is kept: the frame cannot become a page table or leave the domain while the hypervisor writes to it.
            if (_mmu.Types.Acquire(place.Frame, FrameType.Writable) != 0)
            {
                return -Errno.Invalid;
            }
        }

        _movedInfo[target.Id] = true;
        ulong moved = (place.Frame << 12) + place.Offset;
        Span<byte> info = stackalloc byte[VcpuInfoSize];
        _domain.Memory.TryRead(target.VcpuInfoAddress, info);

        // Events that come between copy and move would be lost: everything counts as pending, and the guest looks for itself.
        info[0] = 1;
        AllOnes.CopyTo(info[8..]);
        _domain.Memory.TryWrite(moved, info);
        target.VcpuInfoAddress = moved;
        WriteTimeInfo(target);
        return 0;
    }

    private long SetSingleShot(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out ulong deadline) || !vcpu.Guest.TryRead(address + 8, out uint flags))
        {
            return -Errno.Fault;
        }

        if ((flags & SingleShotFuture) != 0 && deadline < _clock.Now)
        {
            return -TimeExpired;
        }

        _timers.SetSingleShot(vcpu.Id, deadline);
        return 0;
    }

    private long SetTimer(PvVcpu vcpu, in HypercallArguments a)
    {
        _timers.SetSingleShot(vcpu.Id, a.A1 == 0 ? null : a.A1);
        return 0;
    }

    private void WriteTimeInfo(PvVcpu vcpu)
    {
        Span<byte> time = stackalloc byte[TimeInfoSize];
        _clock.WriteTimeInfo(time);
        _domain.Memory.TryWrite(vcpu.VcpuInfoAddress + TimeInfoOffset, time);
    }

    /// <summary>struct vcpu_register_vcpu_info.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct InfoPlace
    {
        public readonly ulong Frame;
        public readonly uint Offset;
        private readonly uint _reserved;
    }
}
