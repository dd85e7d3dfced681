using Shinano.Hypervisor.Scheduling;

namespace Shinano.Hypervisor.Tests.Scheduling;

public sealed class CpuLimitsTests
{
    private const long Second = 1_000_000_000;

    [Fact]
    public void The_lower_of_cap_and_allowance_counts()
    {
        CpuLimits limits = new();
        limits.SetCap(CpuBudget.OneCpu, 0);
        limits.SetAllowance(CpuBudget.OneCpu / 4, 0, 1000 * Second);
        long now = 0;
        long used = 0;
        while (now < 20 * Second)
        {
            long run = limits.Hold ? 0 : 1_000_000;
            now += 1_000_000;
            used += run;
            limits.Advance(now, run, threads: 1);
        }

        Assert.InRange(used / (20.0 * Second), 0.245, 0.255);
        limits.SetAllowance(null, now, 0);
        limits.SetCap(null, now);
        Assert.True(limits.IsEmpty);
        Assert.Equal(long.MaxValue, limits.Advance(now, Second, 1));
        Assert.False(limits.Hold);
    }

    [Fact]
    public void An_allowance_that_nobody_renews_ends()
    {
        CpuLimits limits = new();
        limits.SetAllowance(0, now: 10, validity: 100);
        Assert.InRange(limits.Advance(50, Second, 1), 1, 60);
        Assert.True(limits.Hold);
        limits.SetAllowance(0, now: 60, validity: 100);
        limits.Advance(159, 0, 1);
        Assert.True(limits.Hold);
        Assert.Equal(long.MaxValue, limits.Advance(160, 0, 1));
        Assert.False(limits.Hold);
    }
}
