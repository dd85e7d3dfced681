using CsCheck;
using Shinano.Hypervisor.Events;
using Shinano.Hypervisor.Tests.Events;
using Shinano.Hypervisor.Traps;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Time;

public sealed class DomainTimerTests : IDisposable
{
    private readonly ServicesTestDomain _domain = new();
    private readonly uint[] _ports;

    public DomainTimerTests() => _ports = [Bind(0), Bind(1)];

    public void Dispose() => _domain.Dispose();

    private ulong Now => _domain.Clock.Now;

    [Fact]
    public void A_single_shot_fires_once_at_its_time()
    {
        _domain.Timers.SetSingleShot(0, Now + 1000);
        Assert.Equal(1000, _domain.Alarm);
        Pass(999);
        Assert.False(Took(0));
        Pass(1);
        Assert.True(Took(0));
        Pass(100_000);
        Assert.False(Took(0));
    }

    [Fact]
    public void A_time_that_has_passed_fires_at_once()
    {
        _domain.Ticks += 5000;
        _domain.Timers.SetSingleShot(1, Now);
        Assert.True(Took(1));
        Assert.Equal(-1, _domain.Alarm);
    }

    [Fact]
    public void An_earlier_deadline_moves_the_alarm_and_a_stopped_one_does_nothing()
    {
        _domain.Timers.SetSingleShot(0, Now + 1000);
        _domain.Timers.SetSingleShot(1, Now + 300);
        Assert.Equal(300, _domain.Alarm);
        _domain.Timers.SetSingleShot(1, null);
        Pass(300);
        Assert.False(Took(1));
        Assert.Equal(700, _domain.Alarm);
        Pass(700);
        Assert.True(Took(0));
    }

    [Fact]
    public void A_new_vcpu_ticks_every_10_ms_while_it_runs()
    {
        _domain.Timers.Follow(_domain.Vcpu, RunState.Running);
        Pass(10_000_000);
        Assert.True(Took(0));
        Assert.False(Took(1));
        Pass(10_000_000);
        Assert.True(Took(0));
        _domain.Timers.Follow(_domain.Vcpu, RunState.Blocked);
        Pass(50_000_000);
        Assert.False(Took(0));

        // One late tick, not five.
        _domain.Timers.Follow(_domain.Vcpu, RunState.Running);
        Pass(0);
        Assert.True(Took(0));
        Pass(1);
        Assert.False(Took(0));
        _domain.Timers.SetPeriod(0, null);
        Pass(50_000_000);
        Assert.False(Took(0));
    }

    [Fact]
    public void A_watchdog_ends_the_domain_unless_it_is_poked()
    {
        Assert.Equal(1, Watchdog(0, 2));
        Assert.Equal(2, Watchdog(0, 3));
        Assert.Equal(-Errno.NoSpace, Watchdog(0, 3));
        Assert.Equal(-Errno.Invalid, Watchdog(3, 3));
        Pass(1_900_000_000);
        Assert.Equal(0, Watchdog(1, 2));
        Assert.Equal(0, Watchdog(2, 0));
        Assert.Equal(-Errno.Invalid, Watchdog(2, 1));
        Pass(1_900_000_000);
        Assert.Null(_domain.Domain.Shutdown);
        Pass(100_000_000);
        Assert.Equal(ShutdownReason.Watchdog, _domain.Domain.Shutdown);
    }

    /// <summary>Against a list of deadlines: no timer fires early, none is forgotten, and the alarm is never later than the next of them.</summary>
    [Fact]
    public void Timers_fire_neither_early_nor_never() =>
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, 1], Gen.ULong[0, 200]).Array[1, 100].Sample(
            steps =>
            {
                using ServicesTestDomain domain = new();
                uint[] ports = [Bind(domain, 0), Bind(domain, 1)];
                ulong?[] deadlines = new ulong?[2];
                ulong alarmAt = ulong.MaxValue;
                foreach ((int action, int vcpu, ulong time) in steps)
                {
                    ulong now = domain.Clock.Now;
                    switch (action)
                    {
                        case 0:
                            domain.Timers.SetSingleShot(vcpu, now + time + 1);
                            deadlines[vcpu] = now + time + 1;
                            alarmAt = Math.Min(alarmAt, now + time + 1);
                            break;
                        case 1:
                            domain.Timers.SetSingleShot(vcpu, null);
                            deadlines[vcpu] = null;
                            break;
                        default:
                            domain.Ticks += time;
                            now = domain.Clock.Now;
                            if (alarmAt <= now)
                            {
                                domain.Timers.Expire();
                                alarmAt = domain.Alarm < 0 ? ulong.MaxValue : now + (ulong)domain.Alarm;
                            }

                            break;
                    }

                    for (int i = 0; i < 2; i++)
                    {
                        bool due = deadlines[i] <= now;
                        Assert.Equal(due, Took(domain, ports[i]));
                        deadlines[i] = due ? null : deadlines[i];
                    }
                }
            },
            iter: 200,
            threads: 1);

    private static uint Bind(ServicesTestDomain domain, uint vcpu)
    {
        uint[] words = [VirtualIrq.Timer, vcpu, 0];
        Assert.Equal(0, domain.Event((uint)EventChannelOp.BindVirq, words));
        return words[2];
    }

    private static bool Took(ServicesTestDomain domain, uint port)
    {
        bool pending = domain.IsPending(port);
        ref ulong word = ref domain.Domain.Memory.Shared<ulong>(domain.Domain.SharedInfoFrame.Address + SharedInfoLayout.EventPending);
        word &= ~(1UL << (int)port);
        return pending;
    }

    private uint Bind(uint vcpu) => Bind(_domain, vcpu);

    private bool Took(int vcpu) => Took(_domain, _ports[vcpu]);

    private void Pass(ulong nanoseconds)
    {
        _domain.Ticks += nanoseconds;
        _domain.Timers.Expire();
    }

    private long Watchdog(uint id, uint seconds)
    {
        _domain.Write(id, seconds);
        return _domain.Call(HypercallNumber.SchedOp, 6, ServicesTestDomain.Buffer);
    }
}
