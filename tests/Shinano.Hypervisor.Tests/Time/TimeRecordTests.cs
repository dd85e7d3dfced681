using CsCheck;
using Shinano.Hypervisor.Tests.Events;
using Shinano.Hypervisor.Time;
using Shinano.Hypervisor.Traps;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Time;

public sealed class TimeRecordTests
{
    /// <summary>As a guest computes it. Source: public/xen.h: struct vcpu_time_info.</summary>
    public static ulong TimeOf(ReadOnlySpan<byte> record, ulong tsc)
    {
        ulong ticks = tsc - BitConverter.ToUInt64(record[VcpuInfoLayout.TscTimestamp..]);
        sbyte shift = (sbyte)record[VcpuInfoLayout.TscShift];
        UInt128 scaled = (UInt128)(shift < 0 ? ticks >> -shift : ticks << shift) * BitConverter.ToUInt32(record[VcpuInfoLayout.TscMultiplier..]);
        return BitConverter.ToUInt64(record[VcpuInfoLayout.SystemTime..]) + (ulong)(scaled >> 32);
    }

    /// <summary>Whatever record a guest has, and however old, it reads the hypervisor's time to the nanosecond.</summary>
    [Fact]
    public void All_records_give_the_same_time() =>
        Gen.Select(Gen.Long[100_000_000, 6_000_000_000], Gen.ULong[0, 1UL << 50], Gen.ULong[0, 1UL << 45], Gen.ULong[0, 1UL << 45]).Sample(
            (hertz, origin, first, second) =>
            {
                ulong tsc = origin;
                DomainClock clock = new(() => tsc, hertz);
                Span<byte> record = stackalloc byte[VcpuInfoLayout.TimeSize];
                tsc += first;
                clock.WriteTimeInfo(record, clock.CurrentRecord);
                Assert.Equal(clock.Now, TimeOf(record, tsc));
                tsc += second;
                Assert.Equal(clock.Now, TimeOf(record, tsc));

                // 0.12 millionths for the zeros, and a nanosecond for each rounding.
                double exact = (double)(first + second) / hertz * 1e9;
                Assert.InRange(clock.Now, (exact * (1 - 1.3e-7)) - 2, (exact * (1 + 1e-9)) + 2);
            });

    [Fact]
    public void The_record_of_a_vcpu_that_runs_is_renewed_each_second()
    {
        using ServicesTestDomain domain = new();
        domain.Timers.SetPeriod(0, null);
        domain.Vcpu.Scheduling.SetPaused(false);
        Assert.True(domain.Vcpu.Scheduling.WaitUntilRunnable());
        domain.Timers.Follow(domain.Vcpu, RunState.Running);
        Assert.Equal(1_000_000_000, domain.Alarm);
        domain.Ticks += 1_000_000_000;
        domain.Timers.Expire();
        byte[] record = new byte[VcpuInfoLayout.TimeSize];
        Assert.True(domain.Domain.Memory.TryRead(domain.Vcpu.VcpuInfoAddress + VcpuInfoLayout.Time, record));
        Assert.Equal(0u, BitConverter.ToUInt32(record) & 1);
        ulong system = BitConverter.ToUInt64(record, VcpuInfoLayout.SystemTime);
        Assert.InRange(system, domain.Clock.Now - 50_000_000, domain.Clock.Now);
        Assert.Equal(domain.Clock.Now, TimeOf(record, domain.Ticks));
        Assert.Equal(1_000_000_000, domain.Alarm);
    }
}
