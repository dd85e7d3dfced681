using System.Runtime.InteropServices;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Traps;
using Shinano.SavedState;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Time;

/// <summary>vcpu_op and set_timer_op: bringing vCPUs up, their shared areas and timers. Source: public/vcpu.h: VCPUOP_*.</summary>
public sealed class VcpuHypercalls
{
    private const int TimeInfoSize = 32;
    private const int VcpuInfoSize = 64;

    /// <summary>From this on set_timer_op does not believe a timeout: 13 days.</summary>
    private const ulong LongestTimeout = 1UL << 50;
    private const ulong InsteadOfLongest = 100_000_000;

    /// <summary>flags of struct vcpu_guest_context, and VGCF_online in it.</summary>
    private const int ContextFlags = 512;
    private const ulong OnlineFlag = 1 << 5;
    private const int TimeExpired = 62;
    private const uint SingleShotFuture = 1;

    private readonly Domain _domain;
    private readonly MmuHypercalls _mmu;
    private readonly DomainClock _clock;
    private readonly DomainTimers _timers;
    private readonly TimeRecords _records;
    private readonly RunStateAccount[] _accounts;
    private readonly bool[] _initialised;
    private readonly bool[] _movedInfo;

    public VcpuHypercalls(Domain domain, MmuHypercalls mmu, DomainClock clock, DomainTimers timers, Func<bool> marksRunStateUpdates)
    {
        _domain = domain;
        _mmu = mmu;
        _clock = clock;
        _timers = timers;
        _records = timers.Records;
        _accounts = [.. domain.Vcpus.Select(_ => new RunStateAccount(clock, marksRunStateUpdates))];
        _initialised = new bool[domain.Vcpus.Count];
        _movedInfo = new bool[domain.Vcpus.Count];
        _initialised[0] = true;
        foreach (PvVcpu vcpu in domain.Vcpus)
        {
            vcpu.Scheduling.StateChanged = (changed, state) =>
            {
                _accounts[changed.Id].Enter(changed, state);
                if (state == RunState.Running)
                {
                    _records.Publish(changed, force: false);
                }

                _timers.Follow(changed, state);
            };
            _records.Publish(vcpu, force: true);
        }

        domain.Hypercalls.Add(HypercallNumber.VcpuOp, Operate);
        domain.Hypercalls.Add(HypercallNumber.SetTimerOp, SetTimer);
    }

    private static ReadOnlySpan<byte> AllOnes => [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

    /// <summary>Writes which vCPUs were brought up, where their records are, and their accounts.</summary>
    internal void Save(StateWriter writer)
    {
        writer.Mark("VCPU"u8);
        foreach (PvVcpu vcpu in _domain.Vcpus)
        {
            writer.PutFlag(_initialised[vcpu.Id]);
            writer.PutFlag(_movedInfo[vcpu.Id]);
            writer.Put(vcpu.VcpuInfoAddress);
            _accounts[vcpu.Id].Save(writer);
        }
    }

    /// <summary>Reads what <see cref="Save"/> wrote; the guest's memory is there already.</summary>
    internal void Load(StateReader reader)
    {
        reader.Expect("VCPU"u8);
        foreach (PvVcpu vcpu in _domain.Vcpus)
        {
            _initialised[vcpu.Id] = reader.GetFlag();
            _movedInfo[vcpu.Id] = reader.GetFlag();
            ulong place = reader.Get<ulong>();
            if (_movedInfo[vcpu.Id])
            {
                StateReader.Demand((place & 7) == 0 && (place & 0xFFF) <= 4096 - VcpuInfoSize, $"a vcpu_info cannot be at {place:x}");
                lock (_mmu.MmuLock)
                {
                    StateReader.Demand(_mmu.Types.Acquire(place >> 12, FrameType.Writable) == 0, $"a vcpu_info at {place:x} is in no memory of the guest's");
                }

                vcpu.VcpuInfoAddress = place;
            }

            _accounts[vcpu.Id].Load(reader);
            StateReader.Demand(IsGuestAddress(_accounts[vcpu.Id].GuestArea), "the record of run states is in no memory of the guest's");
            _records.Publish(vcpu, force: true);
        }
    }

    private long Operate(PvVcpu caller, in HypercallArguments a)
    {
        if ((uint)a.A2 >= (uint)_domain.Vcpus.Count)
        {
            return -Errno.NoEntry;
        }

        PvVcpu target = _domain.Vcpus[(int)a.A2];
        switch ((uint)a.A1)
        {
            case 0:
                return Initialise(caller, target, a.A3);
            case 1: // VCPUOP_up
                return Up(target);
            case 2: // VCPUOP_down
                return Down(target);
            case 3: // VCPUOP_is_up
                return target.Online ? 1 : 0;
            case 4: // VCPUOP_get_runstate_info
                Span<byte> info = stackalloc byte[RunStateAccount.Size];
                _accounts[target.Id].Write(info);
                return caller.Guest.TryWrite(a.A3, info) ? 0 : -Errno.Fault;
            case 5: // VCPUOP_register_runstate_memory_area
                return RegisterRunStateArea(caller, target, a.A3);
            case 6: // VCPUOP_set_periodic_timer
                if (!caller.Guest.TryRead(a.A3, out ulong period))
                {
                    return -Errno.Fault;
                }

                if (period is < DomainTimers.ShortestPeriod or > DomainTimers.LongestPeriod)
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
                if (a.A3 != 0)
                {
                    return -Errno.Invalid;
                }

                target.Traps.RaiseNmi();
                target.Notify();
                return 0;
            case 13: // VCPUOP_register_vcpu_time_memory_area
                return RegisterTimeArea(caller, a.A3);
            case 12: // VCPUOP_get_physid: for a domain whose vCPUs are pinned to the CPUs of their numbers
                return -Errno.Invalid;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private long Up(PvVcpu target)
    {
        lock (_initialised)
        {
            if (!_initialised[target.Id])
            {
                return -Errno.Invalid;
            }

            target.Online = true;
        }

        target.Notify();
        return 0;
    }

    private long Down(PvVcpu target)
    {
        lock (_initialised)
        {
            if (_domain.Vcpus.Any(v => v != target && v.Online))
            {
                target.Online = false;
                target.Notify();
                return 0;
            }
        }

        // As on Xen: the last vCPU going down is the domain's end.
        _domain.RequestShutdown(ShutdownReason.PowerOff);
        return 0;
    }

    private long RegisterRunStateArea(PvVcpu caller, PvVcpu target, ulong address)
    {
        if (!caller.Guest.TryRead(address, out ulong area) || !IsGuestAddress(area))
        {
            return -Errno.Fault;
        }

        RunStateAccount account = _accounts[target.Id];
        account.GuestArea = area;
        if (target == caller)
        {
            account.Publish(caller);
        }
        else if (area != 0)
        {
            // Through the caller's tables, as on Xen: the other vCPU may have none yet.
            Span<byte> info = stackalloc byte[RunStateAccount.Size];
            account.Write(info);
            _ = caller.Guest.TryWrite(area, info);
        }

        return 0;
    }

    private long RegisterTimeArea(PvVcpu caller, ulong address)
    {
        if (!caller.Guest.TryRead(address, out ulong area) || !IsGuestAddress(area))
        {
            return -Errno.Fault;
        }

        if (area != 0)
        {
            // Any record gives the right time for ever: it is written once, and the address need not be kept.
            Span<byte> time = stackalloc byte[TimeInfoSize];
            _clock.WriteTimeInfo(time, _clock.CurrentRecord);
            _ = caller.Guest.TryWriteKernel(area, time);
        }

        return 0;
    }

    private static bool IsGuestAddress(ulong address) =>
        MsrPolicy.IsCanonical(address) && address is < AddressSpaceLayout.MachineToPhysicalStart or >= AddressSpaceLayout.HypervisorEnd;

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
            (ulong ldt, ulong ldtEntries) = VcpuContext.Ldt(context);
            if (entries > (ulong)AddressSpaceLayout.GuestGdtFrames * 512 || ldtEntries > uint.MaxValue)
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

            long result = error;
            if (result == 0)
            {
                result = _mmu.Descriptors.SetLdt(target, ldt, (uint)ldtEntries);
            }

            if (result == 0)
            {
                result = VcpuContext.Apply(target, context);
            }

            if (result == 0)
            {
                target.ShowDescriptorTables();
                _initialised[target.Id] = true;
            }

            if (result == 0 && (MemoryMarshal.Read<ulong>(context.AsSpan(ContextFlags)) & OnlineFlag) != 0)
            {
                target.Online = true;
                target.Notify();
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

        if (place.Offset > 4096 - VcpuInfoSize || (place.Offset & 7) != 0)
        {
            return -Errno.NoDeviceOrAddress;
        }

        lock (_initialised)
        {
            if (_movedInfo[target.Id] || (target != caller && target.Online))
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
        }

        ulong moved = (place.Frame << 12) + place.Offset;
        Span<byte> info = stackalloc byte[VcpuInfoSize];
        _domain.Memory.TryRead(target.VcpuInfoAddress, info);

        // Events that come between copy and move would be lost: everything counts as pending, and the guest looks for itself.
        info[0] = 1;
        AllOnes.CopyTo(info[8..]);
        _domain.Memory.TryWrite(moved, info);
        target.VcpuInfoAddress = moved;
        _records.Publish(target, force: true);
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

        // A system time is signed in Xen: what looks negative has passed.
        _timers.SetSingleShot(vcpu.Id, (long)deadline < 0 ? 0 : deadline);
        return 0;
    }

    private long SetTimer(PvVcpu vcpu, in HypercallArguments a)
    {
        ulong? deadline = a.A1 == 0 ? null : a.A1;
        ulong now = _clock.Now;
        if ((long)a.A1 < 0 || (a.A1 > now && a.A1 - now >= LongestTimeout))
        {
            // Wrapped or endless timeouts of old guests: soon, but not at once, as Xen's do_set_timer_op.
            deadline = now + InsteadOfLongest;
        }

        _timers.SetSingleShot(vcpu.Id, deadline);
        return 0;
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
