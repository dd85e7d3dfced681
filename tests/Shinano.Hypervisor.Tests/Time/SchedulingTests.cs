using Shinano.Hypervisor.Tests.Events;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Time;

public sealed class SchedulingTests : IDisposable
{
    private const ulong Buffer = ServicesTestDomain.Buffer;
    private readonly ServicesTestDomain _domain = new();

    public void Dispose() => _domain.Dispose();

    [Fact]
    public void Polls_are_bounded_and_name_bound_ports()
    {
        _domain.Write(Buffer + 64, 129UL, 0UL);
        Assert.Equal(-Errno.Invalid, Operate(3));
        _domain.Write(0x7777_0000UL, 1UL, 0UL);
        Assert.Equal(-Errno.Fault, Operate(3));
        foreach (ulong port in (ulong[])[0, 5, 0xFFFF_FFFF])
        {
            Assert.Equal(-Errno.Invalid, Poll((uint)port));
        }
    }

    [Fact]
    public void A_poll_does_not_wait_for_what_is_there()
    {
        uint port = BindIpi(0);
        Assert.Equal(0, _domain.Event((uint)EventChannelOp.Send, port));
        Assert.Equal(0, Poll(port));
        Assert.True(Runs());
    }

    [Fact]
    public void A_poll_ends_with_the_event_although_upcalls_are_masked()
    {
        uint port = BindIpi(0);
        uint other = BindIpi(0);
        Assert.Equal(0, Poll(port));
        using WaitingVcpu waiting = new(_domain.Vcpu);
        Assert.Equal(0, _domain.Event((uint)EventChannelOp.Send, other));
        Assert.False(waiting.HasEnded);
        Assert.Equal(0, _domain.Event((uint)EventChannelOp.Send, port));
        waiting.Join();
    }

    [Fact]
    public void A_poll_ends_at_its_timeout()
    {
        uint port = BindIpi(0);
        Assert.Equal(0, Poll(port, _domain.Clock.Now + 1000));
        using WaitingVcpu waiting = new(_domain.Vcpu);
        Assert.Equal(1000, _domain.Alarm);
        _domain.Ticks += 1000;
        _domain.Timers.Expire();
        waiting.Join();
        Assert.Equal(0, Poll(port, 1));
        Assert.True(Runs());
        Assert.Equal(0, Poll(port, ulong.MaxValue));
        Assert.True(Runs());
    }

    [Fact]
    public void A_block_unmasks_and_ends_with_any_event()
    {
        uint port = BindIpi(0);
        _domain.Base.UpcallMask = 1;
        Assert.Equal(0, Operate(1));
        Assert.Equal(0, _domain.Base.UpcallMask);
        using WaitingVcpu waiting = new(_domain.Vcpu);
        Assert.Equal(0, _domain.Event((uint)EventChannelOp.Send, port));
        waiting.Join();
    }

    [Fact]
    public void A_block_with_an_event_pending_does_not_wait()
    {
        uint port = BindIpi(0);
        _domain.Base.UpcallMask = 1;
        Assert.Equal(0, _domain.Event((uint)EventChannelOp.Send, port));
        Assert.Equal(0, Operate(1));
        Assert.True(Runs());
    }

    /// <summary>Block against send, as two threads: whoever is first, the vCPU does not sleep over the event.</summary>
    [Fact]
    public void No_wake_up_is_lost()
    {
        uint port = BindIpi(0);
        for (int i = 0; i < 300; i++)
        {
            _domain.Base.UpcallMask = 1;
            _domain.Base.UpcallPending = 0;
            _domain.Domain.Memory.Shared<ulong>(_domain.Vcpu.VcpuInfoAddress + 8) = 0;
            _domain.Domain.Memory.Shared<ulong>(_domain.Domain.SharedInfoFrame.Address + 2048) = 0;
            Assert.Equal(0, Operate(1));
            using WaitingVcpu waiting = new(_domain.Vcpu);
            _domain.Events.SendVirq(0, 0);
            _domain.Write(port);
            Assert.Equal(0, _domain.Call(HypercallNumber.EventChannelOp, (ulong)EventChannelOp.Send, Buffer));
            waiting.Join();
        }
    }

    [Theory]
    [InlineData(0u, ShutdownReason.PowerOff)]
    [InlineData(1u, ShutdownReason.Reboot)]
    [InlineData(4u, ShutdownReason.Watchdog)]
    [InlineData(5u, ShutdownReason.SoftReset)]
    [InlineData(6u, ShutdownReason.Crash)]
    [InlineData(0xFFFF_FF01u, ShutdownReason.Reboot)]
    public void The_domain_stops_for_the_reason_given(uint reason, ShutdownReason expected)
    {
        _domain.Write(reason);
        Assert.Equal(0, Operate(2));
        Assert.Equal(expected, _domain.Domain.Shutdown);
    }

    [Fact]
    public void A_latched_reason_comes_first()
    {
        _domain.Write(3u);
        Assert.Equal(0, Operate(5));
        _domain.Write(1u);
        Assert.Equal(0, Operate(5));
        Assert.Equal(0, _domain.Call(HypercallNumber.SchedOpCompat, 2, 0));
        Assert.Equal(ShutdownReason.Crash, _domain.Domain.Shutdown);
    }

    [Fact]
    public void Other_domains_are_out_of_reach()
    {
        _domain.Write(0u, 0u);
        Assert.Equal(-Errno.Perm, Operate(4));
        _domain.Write(7u, 0u);
        Assert.Equal(-Errno.NoSuchProcess, Operate(4));
        Assert.Equal(-Errno.Perm, Operate(7));
        Assert.Equal(-Errno.NoSystemCall, Operate(8));
        Assert.Null(_domain.Domain.Shutdown);
    }

    private long Operate(ulong command) => _domain.Call(HypercallNumber.SchedOp, command, Buffer);

    private long Poll(uint port, ulong timeout = 0)
    {
        _domain.Write(Buffer + 64, 1UL, timeout, 0UL, 0UL, 0UL, 0UL, 0UL, port);
        return Operate(3);
    }

    private uint BindIpi(uint vcpu)
    {
        uint[] words = [vcpu, 0];
        Assert.Equal(0, _domain.Event((uint)EventChannelOp.BindIpi, words));
        return words[1];
    }

    /// <summary>Whether the vCPU would go on at once: the wait returns on this thread.</summary>
    private bool Runs() => _domain.Vcpu.Scheduling.WaitUntilRunnable();

    /// <summary>The vCPU's thread, in its wait for what it blocks on.</summary>
    private sealed class WaitingVcpu : IDisposable
    {
        private readonly Thread _thread;

        public WaitingVcpu(PvVcpu vcpu)
        {
            vcpu.Waker = vcpu.Scheduling.Wake;
            _thread = new Thread(() => vcpu.Scheduling.WaitUntilRunnable()) { IsBackground = true };
            _thread.Start();
        }

        public bool HasEnded => _thread.Join(0);

        public void Join() => Assert.True(_thread.Join(TimeSpan.FromSeconds(30)), "the vCPU sleeps over its event");

        public void Dispose() => Join();
    }
}
