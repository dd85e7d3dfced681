using System.Runtime.InteropServices;
using Shinano.Hypervisor.Events;
using Shinano.Hypervisor.Hypercalls;
using Shinano.SavedState;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Time;

/// <summary>sched_op. Source: public/sched.h: SCHEDOP_*.</summary>
public sealed class SchedulingHypercalls
{
    private const uint MostPolledPorts = 128;

    private readonly Domain _domain;
    private readonly EventChannels _events;
    private readonly DomainClock _clock;
    private readonly DomainTimers _timers;
    private readonly bool[] _watchdogInUse = new bool[DomainTimers.Watchdogs];
    private int _latchedReason = -1;

    public SchedulingHypercalls(Domain domain, EventChannels events, DomainClock clock, DomainTimers timers)
    {
        _domain = domain;
        _events = events;
        _clock = clock;
        _timers = timers;
        domain.Hypercalls.Add(HypercallNumber.SchedOp, Operate);
        domain.Hypercalls.Add(HypercallNumber.SchedOpCompat, OperateOld);
    }

    /// <summary>Writes which watchdogs are in use, and a reason given for the shutdown to come.</summary>
    internal void Save(StateWriter writer)
    {
        writer.Mark("SCHD"u8);
        lock (_watchdogInUse)
        {
            foreach (bool inUse in _watchdogInUse)
            {
                writer.PutFlag(inUse);
            }
        }

        writer.Put(Volatile.Read(ref _latchedReason));
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    internal void Load(StateReader reader)
    {
        reader.Expect("SCHD"u8);
        lock (_watchdogInUse)
        {
            foreach (ref bool inUse in _watchdogInUse.AsSpan())
            {
                inUse = reader.GetFlag();
            }
        }

        int reason = reader.Get<int>();
        StateReader.Demand(reason is >= -1 and <= byte.MaxValue, $"{reason} is no reason for a shutdown");
        Volatile.Write(ref _latchedReason, reason);
    }

    private long Operate(PvVcpu vcpu, in HypercallArguments a)
    {
        switch ((uint)a.A1)
        {
            case 0: // SCHEDOP_yield
                Thread.Yield();
                return 0;
            case 1: // SCHEDOP_block
                UnmaskUpcalls(vcpu);
                vcpu.Scheduling.Block();
                return 0;
            case 2: // SCHEDOP_shutdown
                return vcpu.Guest.TryRead(a.A2, out uint reason) ? Stop(reason) : -Errno.Fault;
            case 3:
                return Poll(vcpu, a.A2);
            case 4: // SCHEDOP_remote_shutdown: for device models of other domains
                return !vcpu.Guest.TryRead(a.A2, out ushort remote) ? -Errno.Fault
                    : remote == _domain.Id.Value || remote == DomainId.Zero.Value ? -Errno.Perm : -Errno.NoSuchProcess;
            case 5: // SCHEDOP_shutdown_code
                if (!vcpu.Guest.TryRead(a.A2, out uint code))
                {
                    return -Errno.Fault;
                }

                Interlocked.CompareExchange(ref _latchedReason, (byte)code, -1);
                return 0;
            case 6:
                return Watchdog(vcpu, a.A2);
            case 7: // SCHEDOP_pin_override
                return -Errno.Perm;
            default:
                return -Errno.NoSystemCall;
        }
    }

    /// <summary>The call of before Xen 3.0.2: the argument is a value.</summary>
    private long OperateOld(PvVcpu vcpu, in HypercallArguments a) => (uint)a.A1 switch
    {
        0 or 1 => Operate(vcpu, in a),
        2 => Stop((uint)a.A2),
        _ => -Errno.NoSystemCall,
    };

    private long Stop(uint reason)
    {
        int latched = Volatile.Read(ref _latchedReason);
        int effective = latched >= 0 ? latched : (byte)reason;

        // Xen gives any byte to the tool stack, which takes one that it does not know for a crash.
        _domain.RequestShutdown(effective <= (int)ShutdownReason.SoftReset ? (ShutdownReason)effective : ShutdownReason.Crash);
        return 0;
    }

    private void UnmaskUpcalls(PvVcpu vcpu) => Volatile.Write(ref _domain.Memory.Shared<byte>(vcpu.VcpuInfoAddress + VcpuInfoLayout.UpcallMask), 0);

    private long Poll(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out PollRequest request))
        {
            return -Errno.Fault;
        }

        if (request.Count > MostPolledPorts)
        {
            return -Errno.Invalid;
        }

        uint[] ports = new uint[request.Count];
        if (!vcpu.Guest.TryRead(request.Ports, MemoryMarshal.AsBytes(ports.AsSpan())))
        {
            return -Errno.Fault;
        }

        // A system time is signed in Xen: what looks negative has passed.
        ulong? deadline = request.Timeout == 0 ? null : (long)request.Timeout < 0 ? 0 : request.Timeout;
        _events.SetPolling(vcpu, true);
        long result = 0;
        bool waits = !vcpu.IsUpcallDue && !(deadline <= _clock.Now);
        for (int i = 0; waits && i < ports.Length; i++)
        {
            result = _events.IsBound(ports[i]) ? 0 : -Errno.Invalid;
            waits = result == 0 && !_events.IsPending(ports[i]);
        }

        if (!waits)
        {
            _events.SetPolling(vcpu, false);
            return result;
        }

        _timers.SetPoll(vcpu.Id, deadline);
        vcpu.Scheduling.BlockUntil(v =>
        {
            if (!v.IsUpcallDue && !(deadline <= _clock.Now) && !ports.Any(_events.IsPending))
            {
                return false;
            }

            _events.SetPolling(v, false);
            return true;
        });
        return 0;
    }

    private long Watchdog(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out ulong request))
        {
            return -Errno.Fault;
        }

        uint id = (uint)request;
        uint seconds = (uint)(request >> 32);
        ulong deadline = _clock.Now + (seconds * 1_000_000_000UL);
        if (id > DomainTimers.Watchdogs)
        {
            return -Errno.Invalid;
        }

        lock (_watchdogInUse)
        {
            if (id == 0)
            {
                int free = Array.IndexOf(_watchdogInUse, false);
                if (free < 0)
                {
                    return -Errno.NoSpace;
                }

                _watchdogInUse[free] = true;
                _timers.SetWatchdog(free, deadline);
                return free + 1;
            }

            int number = (int)id - 1;
            if (!_watchdogInUse[number])
            {
                return -Errno.Invalid;
            }

            _watchdogInUse[number] = seconds != 0;
            _timers.SetWatchdog(number, seconds == 0 ? null : deadline);
            return 0;
        }
    }

    /// <summary>struct sched_poll.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct PollRequest
    {
        public readonly ulong Ports;
        public readonly uint Count;
        public readonly ulong Timeout;
    }
}
