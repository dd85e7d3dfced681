using System.Runtime.InteropServices;
using Shinano.Hypervisor.Events;
using Shinano.Hypervisor.Hypercalls;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Time;

/// <summary>sched_op. Source: public/sched.h: SCHEDOP_*.</summary>
public sealed class SchedulingHypercalls
{
    private const uint MostPolledPorts = 128;
    private const int Watchdogs = 2;

    private readonly Domain _domain;
    private readonly EventChannels _events;
    private readonly DomainClock _clock;
    private readonly DomainTimers _timers;
    private readonly ulong?[] _watchdogs = new ulong?[Watchdogs];
    private readonly bool[] _watchdogInUse = new bool[Watchdogs];

    public SchedulingHypercalls(Domain domain, EventChannels events, DomainClock clock, DomainTimers timers)
    {
        _domain = domain;
        _events = events;
        _clock = clock;
        _timers = timers;
        domain.Hypercalls.Add(HypercallNumber.SchedOp, Operate);
        domain.Hypercalls.Add(HypercallNumber.SchedOpCompat, OperateOld);
    }

    /// <summary>Ends the domain if a watchdog's time is over; called every second or so.</summary>
    public void CheckWatchdogs()
    {
        lock (_watchdogs)
        {
            if (_watchdogs.Any(deadline => deadline <= _clock.Now))
            {
                _domain.RequestShutdown(ShutdownReason.Watchdog);
            }
        }
    }

    private long Operate(PvVcpu vcpu, in HypercallArguments a)
    {
        switch (a.A1)
        {
            case 0: // SCHEDOP_yield
                Thread.Yield();
                return 0;
            case 1: // SCHEDOP_block
                UnmaskUpcalls(vcpu);
                vcpu.Scheduling.Block();
                return 0;
            case 2 or 5: // SCHEDOP_shutdown, SCHEDOP_shutdown_code
                if (!vcpu.Guest.TryRead(a.A2, out uint reason))
                {
                    return -Errno.Fault;
                }

                if (reason > (uint)ShutdownReason.SoftReset)
                {
                    return -Errno.Invalid;
                }

                if (a.A1 == 2)
                {
                    _domain.RequestShutdown((ShutdownReason)reason);
                }

                return 0;
            case 3:
                return Poll(vcpu, a.A2);
            case 4: // SCHEDOP_remote_shutdown
                return -Errno.Perm;
            case 6:
                return Watchdog(vcpu, a.A2);
            case 7: // SCHEDOP_pin_override
                return -Errno.Perm;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private long OperateOld(PvVcpu vcpu, in HypercallArguments a) => a.A1 switch
    {
        0 or 1 => Operate(vcpu, in a),
        2 => Stop((uint)a.A2),
        _ => -Errno.NoSystemCall,
    };

    private long Stop(uint reason)
    {
        if (reason > (uint)ShutdownReason.SoftReset)
        {
            return -Errno.Invalid;
        }

        _domain.RequestShutdown((ShutdownReason)reason);
        return 0;
    }

    private void UnmaskUpcalls(PvVcpu vcpu) => Volatile.Write(ref _domain.Memory.Shared<byte>(vcpu.VcpuInfoAddress + 1), 0);

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

        if (ports.Any(port => !_events.IsBound(port)))
        {
            return -Errno.Invalid;
        }

        ulong? deadline = request.Timeout == 0 ? null : request.Timeout;
        _events.SetPolling(vcpu, true);
        if (ports.Any(_events.IsPending) || deadline <= _clock.Now)
        {
            _events.SetPolling(vcpu, false);
            return 0;
        }

        _timers.SetPoll(vcpu.Id, deadline);
        vcpu.Scheduling.BlockUntil(v =>
        {
            if (!ports.Any(_events.IsPending) && !(deadline <= _clock.Now) && !v.IsUpcallDue)
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
        lock (_watchdogs)
        {
            ulong? deadline = seconds == 0 ? null : _clock.Now + (seconds * 1_000_000_000UL);
            if (id == 0)
            {
                // A new one, unless there is nothing to time.
                if (seconds == 0)
                {
                    return -Errno.Invalid;
                }

                int free = Array.IndexOf(_watchdogInUse, false);
                if (free < 0)
                {
                    return -Errno.NoSpace;
                }

                _watchdogInUse[free] = true;
                _watchdogs[free] = deadline;
                return free + 1;
            }

            if (id > Watchdogs)
            {
                return -Errno.Invalid;
            }

            if (!_watchdogInUse[id - 1])
            {
                return -Errno.Exists;
            }

            _watchdogs[id - 1] = deadline;
            _watchdogInUse[id - 1] = seconds != 0;
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
