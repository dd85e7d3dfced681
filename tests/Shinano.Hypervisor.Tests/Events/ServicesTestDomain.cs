using System.Runtime.InteropServices;
using Shinano.Hypervisor.Events;
using Shinano.Hypervisor.Grants;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Tests.Traps;
using Shinano.Hypervisor.Time;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Events;

/// <summary>A domain with event channels, timers and the small hypercalls over a clock that only the test moves: a tick is a nanosecond.</summary>
public sealed class ServicesTestDomain : IDisposable
{
    /// <summary>Guest-virtual memory for arguments.</summary>
    public const ulong Buffer = TrapTestDomain.KernelStackTop - 0x1000;

    private readonly TrapTestDomain _base;

    public ServicesTestDomain(int vcpus = 2)
    {
        _base = new TrapTestDomain(vcpus);
        Clock = new DomainClock(() => Ticks, 1_000_000_000);
        Frames = new TestFrames(_base);
        Events = new EventChannels(Domain, Frames);
        Timers = new DomainTimers(Domain, Clock, Events, nanoseconds => Alarm = nanoseconds);
        Grants = new GrantTable(Domain, Frames, 4);
        _ = new GrantHypercalls(Domain, Grants, Frames);
        _ = new EventChannelHypercalls(Domain, Events);
        Scheduling = new SchedulingHypercalls(Domain, Events, Clock, Timers);
        Console = new ConsoleHypercalls(Domain, TimeProvider.System);
        VersionHypercalls.Register(Domain);
        _ = new PhysicalDeviceHypercalls(Domain, Frames);
        RefusedHypercalls.Register(Domain);
        MultiCall.Register(Domain);
    }

    public TrapTestDomain Base => _base;

    public Domain Domain => _base.Domain;

    public PvVcpu Vcpu => _base.Vcpu;

    public ulong Ticks { get; set; } = 5_000_000;

    /// <summary>Nanoseconds in which the timers asked last to be looked at.</summary>
    public long Alarm { get; private set; } = -1;

    public DomainClock Clock { get; }

    public TestFrames Frames { get; }

    public EventChannels Events { get; }

    public DomainTimers Timers { get; }

    public GrantTable Grants { get; }

    public SchedulingHypercalls Scheduling { get; }

    public ConsoleHypercalls Console { get; }

    public long Call(HypercallNumber number, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0)
    {
        HypercallArguments arguments = new(a1, a2, a3, 0, 0, 0);
        return Domain.Hypercalls.Call(Vcpu, (ulong)number, in arguments);
    }

    /// <summary>An event channel operation with its structure's 32-bit words, which come back changed.</summary>
    public long Event(ulong command, params uint[] words)
    {
        Write(words);
        long result = Call(HypercallNumber.EventChannelOp, command, Buffer);
        Assert.True(Vcpu.Guest.TryRead(Buffer, MemoryMarshal.AsBytes(words.AsSpan())));
        return result;
    }

    public void Write<T>(params T[] values)
        where T : unmanaged =>
        Assert.True(Vcpu.Guest.TryWrite(Buffer, MemoryMarshal.AsBytes(values.AsSpan())));

    public T Read<T>(int offset)
        where T : unmanaged
    {
        Assert.True(Vcpu.Guest.TryRead(Buffer + (ulong)offset, out T value));
        return value;
    }

    public bool IsPending(uint port) => Events.IsPending(port);

    public void Mask(uint port, bool masked)
    {
        ulong at = Domain.SharedInfoFrame.Address + 2560 + (port / 64 * 8);
        ref ulong word = ref Domain.Memory.Shared<ulong>(at);
        word = masked ? word | (1UL << (int)(port % 64)) : word & ~(1UL << (int)(port % 64));
    }

    public byte UpcallPending(int vcpu = 0) => Domain.Memory.Shared<byte>(Domain.Vcpus[vcpu].VcpuInfoAddress);

    public ulong Selector(int vcpu = 0) => Domain.Memory.Shared<ulong>(Domain.Vcpus[vcpu].VcpuInfoAddress + 8);

    public void Dispose() => _base.Dispose();
}
