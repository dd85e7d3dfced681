using Shinano.Hypervisor.Events;

namespace Shinano.Hypervisor.Time;

/// <summary>Single-shot, periodic and poll timers of a domain's vCPUs. Any thread; <see cref="Expire"/> is called when the alarm goes off.</summary>
/// <param name="setAlarm">Told, under a lock, how many nanoseconds from now <see cref="Expire"/> is wanted; negative for not at all.</param>
public sealed class DomainTimers(Domain domain, DomainClock clock, EventChannels events, Action<long> setAlarm)
{
    private readonly Lock _lock = new();
    private readonly Deadlines[] _deadlines = new Deadlines[domain.MaximumVcpus];

    /// <summary>Sets a vCPU's single-shot timer to a system time, or stops it with null.</summary>
    public void SetSingleShot(int vcpu, ulong? deadline)
    {
        lock (_lock)
        {
            _deadlines[vcpu].SingleShot = deadline;
            Arm();
        }
    }

    /// <summary>Sets a vCPU's periodic timer in nanoseconds, or stops it with null.</summary>
    public void SetPeriod(int vcpu, ulong? period)
    {
        lock (_lock)
        {
            _deadlines[vcpu].Period = period ?? 0;
            _deadlines[vcpu].Periodic = clock.Now + period;
            Arm();
        }
    }

    /// <summary>Wakes a polling vCPU at a system time.</summary>
    public void SetPoll(int vcpu, ulong? deadline)
    {
        lock (_lock)
        {
            _deadlines[vcpu].Poll = deadline;
            Arm();
        }
    }

    /// <summary>Serves what is due.</summary>
    public void Expire()
    {
        ulong timers = 0;
        ulong polls = 0;
        lock (_lock)
        {
            ulong now = clock.Now;
            for (int i = 0; i < _deadlines.Length; i++)
            {
                ref Deadlines each = ref _deadlines[i];
                if (each.SingleShot <= now)
                {
                    each.SingleShot = null;
                    timers |= 1UL << i;
                }

                if (each.Periodic <= now)
                {
                    // Ticks that were missed are not made up for: the guest reads the time.
                    each.Periodic = now + each.Period;
                    timers |= 1UL << i;
                }

                if (each.Poll <= now)
                {
                    each.Poll = null;
                    polls |= 1UL << i;
                }
            }

            Arm();
        }

        for (int i = 0; i < _deadlines.Length; i++)
        {
            if ((timers >> i & 1) != 0)
            {
                events.SendVirq(i, VirtualIrq.Timer);
            }

            if ((polls >> i & 1) != 0)
            {
                domain.Vcpus[i].Notify();
            }
        }
    }

    private void Arm()
    {
        ulong next = ulong.MaxValue;
        foreach (Deadlines each in _deadlines)
        {
            next = Math.Min(next, Math.Min(each.SingleShot ?? ulong.MaxValue, Math.Min(each.Periodic ?? ulong.MaxValue, each.Poll ?? ulong.MaxValue)));
        }

        ulong now = clock.Now;
        setAlarm(next == ulong.MaxValue ? -1 : next <= now ? 0 : (long)Math.Min(next - now, long.MaxValue));
    }

    private struct Deadlines
    {
        public ulong? SingleShot;
        public ulong? Periodic;
        public ulong Period;
        public ulong? Poll;
    }
}
