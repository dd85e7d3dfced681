using Shinano.Hypervisor.Events;
using Shinano.Hypervisor.Traps;
using Shinano.SavedState;

namespace Shinano.Hypervisor.Time;

/// <summary>
/// A domain's timers: per vCPU a single-shot one, a periodic one and the end of a poll, and the domain's watchdogs. Any thread; <see cref="Expire"/> is called
/// when the alarm goes off.
/// </summary>
/// <remarks>
/// Actions run without the lock, so one may still come just after its timer was stopped or set anew, as on Xen. The lock is a leaf: it is taken under the
/// scheduling lock, and <c>setAlarm</c> is called with it held.
/// </remarks>
public sealed class DomainTimers
{
    /// <summary>Watchdogs of a domain (Xen's NR_DOMAIN_WATCHDOG_TIMERS).</summary>
    public const int Watchdogs = 2;

    /// <summary>The shortest period that a vCPU's periodic timer may have, ns.</summary>
    internal const ulong ShortestPeriod = 1_000_000;

    /// <summary>The longest: Xen's STIME_DELTA_MAX.</summary>
    internal const ulong LongestPeriod = ulong.MaxValue >> 2;

    private const ulong Never = ulong.MaxValue;
    private const int SlotsPerVcpu = 3;
    private const int SingleShotSlot = 0;
    private const int PeriodicSlot = 1;
    private const int PollSlot = 2;

    /// <summary>Ticks of a new PV vCPU, until the guest stops them (Xen's pv_vcpu_initialise).</summary>
    private const ulong InitialPeriod = 10_000_000;

    private readonly Domain _domain;
    private readonly DomainClock _clock;
    private readonly EventChannels _events;
    private readonly Action<long> _setAlarm;
    private readonly Lock _lock = new();
    private readonly ulong[] _deadlines;
    private readonly Tick[] _ticks;
    private readonly int _firstWatchdog;
    private readonly int _recordSlot;
    private ulong _alarmAt = Never;
    private bool _held;

    /// <param name="setAlarm">Told, under a lock, how many nanoseconds from now <see cref="Expire"/> is wanted; it replaces what was said before.</param>
    public DomainTimers(Domain domain, DomainClock clock, EventChannels events, Action<long> setAlarm)
    {
        _domain = domain;
        _clock = clock;
        _events = events;
        _setAlarm = setAlarm;
        Records = new TimeRecords(domain, clock);
        _firstWatchdog = domain.MaximumVcpus * SlotsPerVcpu;
        _recordSlot = _firstWatchdog + Watchdogs;
        _deadlines = new ulong[_recordSlot + 1];
        Array.Fill(_deadlines, Never);
        _ticks = new Tick[domain.MaximumVcpus];
        Array.Fill(_ticks, new Tick { Period = InitialPeriod });
    }

    /// <summary>The guest's time records, which are renewed while vCPUs run.</summary>
    public TimeRecords Records { get; }

    /// <summary>Sets a vCPU's single-shot timer to a system time, or stops it with null. A time that has passed raises the event now.</summary>
    public void SetSingleShot(int vcpu, ulong? deadline)
    {
        if (deadline <= _clock.Now)
        {
            Set((vcpu * SlotsPerVcpu) + SingleShotSlot, Never);
            _events.SendVirq(vcpu, VirtualIrq.Timer);
        }
        else
        {
            Set((vcpu * SlotsPerVcpu) + SingleShotSlot, deadline ?? Never);
        }
    }

    /// <summary>Sets a vCPU's periodic timer in nanoseconds, or stops it with null. It ticks while the vCPU runs, not while that waits.</summary>
    public void SetPeriod(int vcpu, ulong? period)
    {
        lock (_lock)
        {
            ref Tick tick = ref _ticks[vcpu];
            tick.Period = period ?? 0;
            SetLocked((vcpu * SlotsPerVcpu) + PeriodicSlot, tick.Period != 0 && tick.Runs ? tick.Last + tick.Period : Never);
        }
    }

    /// <summary>Wakes a polling vCPU at a system time.</summary>
    public void SetPoll(int vcpu, ulong? deadline) => Set((vcpu * SlotsPerVcpu) + PollSlot, deadline ?? Never);

    /// <summary>Sets the time at which a watchdog ends the domain, or stops it with null.</summary>
    public void SetWatchdog(int number, ulong? deadline) => Set(_firstWatchdog + number, deadline ?? Never);

    /// <summary>The vCPU's state has changed: its ticks rest while it waits. Under the scheduling lock, so that no event may be raised here.</summary>
    public void Follow(PvVcpu vcpu, RunState state)
    {
        lock (_lock)
        {
            ref Tick tick = ref _ticks[vcpu.Id];
            bool runs = state is RunState.Running or RunState.Runnable;
            if (runs != tick.Runs)
            {
                tick.Runs = runs;
                if (runs && _deadlines[_recordSlot] == Never)
                {
                    SetLocked(_recordSlot, _clock.Now + TimeRecords.Interval);
                }

                if (tick.Period != 0)
                {
                    SetLocked((vcpu.Id * SlotsPerVcpu) + PeriodicSlot, runs ? tick.Last + tick.Period : Never);
                }
            }
        }
    }

    /// <summary>Keeps anything from coming due, so that a paused domain keeps still, or goes on with what is due.</summary>
    public void Hold(bool held)
    {
        lock (_lock)
        {
            _held = held;
            ulong next = _deadlines.Min();
            if (!held && next != Never)
            {
                Arm(next);
            }
        }
    }

    /// <summary>Writes deadlines and ticks, which are system times.</summary>
    internal void Save(StateWriter writer)
    {
        writer.Mark("TIMR"u8);
        lock (_lock)
        {
            foreach (ulong deadline in _deadlines[.._recordSlot])
            {
                writer.Put(deadline);
            }

            foreach (Tick tick in _ticks)
            {
                writer.Put(tick.Period);
                writer.Put(tick.Last);
            }
        }
    }

    /// <summary>Reads what <see cref="Save"/> wrote, before the vCPUs run: periods go on with their first run.</summary>
    internal void Load(StateReader reader)
    {
        reader.Expect("TIMR"u8);
        lock (_lock)
        {
            for (int slot = 0; slot < _recordSlot; slot++)
            {
                ulong deadline = reader.Get<ulong>();
                if (slot >= _firstWatchdog || slot % SlotsPerVcpu == SingleShotSlot)
                {
                    // Polls are not gone on with, and a vCPU that does not run has no tick.
                    SetLocked(slot, deadline);
                }
            }

            ulong now = _clock.Now;
            foreach (ref Tick tick in _ticks.AsSpan())
            {
                tick = new Tick { Period = reader.Get<ulong>(), Last = Math.Min(reader.Get<ulong>(), now) };
                StateReader.Demand(tick.Period is 0 or (>= ShortestPeriod and <= LongestPeriod), $"a tick of {tick.Period} ns cannot be");
            }
        }
    }

    /// <summary>Serves what is due.</summary>
    public void Expire()
    {
        Span<int> due = stackalloc int[_deadlines.Length];
        int count = 0;
        lock (_lock)
        {
            ulong now = _clock.Now;
            _alarmAt = Never;
            if (_held)
            {
                return;
            }

            for (int i = 0; i < _deadlines.Length; i++)
            {
                if (_deadlines[i] <= now)
                {
                    due[count++] = i;
                    _deadlines[i] = Never;
                    if (i < _firstWatchdog && i % SlotsPerVcpu == PeriodicSlot)
                    {
                        // Ticks that were missed are not made up for: the guest reads the time.
                        ref Tick tick = ref _ticks[i / SlotsPerVcpu];
                        tick.Last = now;
                        _deadlines[i] = now + tick.Period;
                    }
                }
            }

            ulong next = _deadlines.Min();
            if (next != Never)
            {
                Arm(next);
            }
        }

        foreach (int slot in due[..count])
        {
            Act(slot);
        }
    }

    private void Act(int slot)
    {
        if (slot == _recordSlot)
        {
            if (Records.PublishRunning())
            {
                Set(_recordSlot, _clock.Now + TimeRecords.Interval);
            }
        }
        else if (slot >= _firstWatchdog)
        {
            if (_domain.Shutdown is null)
            {
                _domain.Log.Write($"{_domain.Id}: a watchdog timer fired");
                _domain.RequestShutdown(ShutdownReason.Watchdog);
            }
        }
        else if (slot % SlotsPerVcpu == PollSlot)
        {
            _domain.Vcpus[slot / SlotsPerVcpu].Notify();
        }
        else
        {
            _events.SendVirq(slot / SlotsPerVcpu, VirtualIrq.Timer);
        }
    }

    private void Set(int slot, ulong deadline)
    {
        lock (_lock)
        {
            SetLocked(slot, deadline);
        }
    }

    /// <summary>An alarm for a deadline that is no more stays: one call for nothing costs less than setting it each time.</summary>
    private void SetLocked(int slot, ulong deadline)
    {
        _deadlines[slot] = deadline;
        if (deadline < _alarmAt)
        {
            Arm(deadline);
        }
    }

    private void Arm(ulong deadline)
    {
        _alarmAt = deadline;
        ulong now = _clock.Now;
        _setAlarm(deadline <= now ? 0 : (long)Math.Min(deadline - now, long.MaxValue));
    }

    private struct Tick
    {
        /// <summary>Nanoseconds; 0 for no ticks.</summary>
        public ulong Period;

        /// <summary>System time of the last tick.</summary>
        public ulong Last;

        /// <summary>The vCPU neither waits nor is offline.</summary>
        public bool Runs;
    }
}
