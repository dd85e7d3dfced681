using Shinano.Hypervisor.Scheduling;

namespace Shinano.Hypervisor.Tests.Scheduling;

public sealed class CpuBudgetTests
{
    private const long Millisecond = 1_000_000;
    private const long Second = 1_000_000_000;

    /// <summary>A guest that wants everything is looked at when it is due, or later.</summary>
    [Theory]
    [InlineData(1, 1, 0)]
    [InlineData(25, 1, 0)]
    [InlineData(25, 2, 5)]
    [InlineData(50, 1, 20)]
    [InlineData(100, 2, 3)]
    [InlineData(150, 2, 50)]
    [InlineData(350, 4, 10)]
    public void The_average_holds_however_late_the_looks_are(int percent, int threads, int latest)
    {
        Random random = new(7);
        CpuBudget budget = new();
        long now = 5 * Second;
        budget.SetRate(percent * (CpuBudget.OneCpu / 100), now);
        long used = 0;
        long end = now + (60 * Second);
        while (now < end)
        {
            long step = budget.UntilNextLook(threads) + random.NextInt64(0, (latest * Millisecond) + 1);
            long run = budget.IsExhausted ? 0 : step * threads;
            used += run;
            now += step;
            budget.Advance(now, run);
        }

        Assert.InRange(used / (60.0 * Second), percent * 0.0098, percent * 0.0102);
    }

    [Fact]
    public void What_is_not_used_is_saved_for_a_period_only()
    {
        CpuBudget budget = new();
        budget.SetRate(CpuBudget.OneCpu / 2, 0);
        budget.Advance(Second, 0);
        budget.Advance(Second, (CpuBudget.Period / 2) - 1);
        Assert.False(budget.IsExhausted);
        budget.Advance(Second, 1);
        Assert.True(budget.IsExhausted);
    }

    [Fact]
    public void Without_a_rate_nothing_is_held_nor_looked_at()
    {
        CpuBudget budget = new();
        budget.Advance(Second, 100 * Second);
        Assert.False(budget.IsExhausted);
        Assert.Equal(long.MaxValue, budget.UntilNextLook(4));
        budget.SetRate(CpuBudget.OneCpu / 100, Second);
        budget.Advance(2 * Second, Second);
        Assert.True(budget.IsExhausted);
        budget.SetRate(null, 2 * Second);
        Assert.False(budget.IsExhausted);
    }

    [Fact]
    public void A_clock_that_stands_or_goes_back_gives_nothing()
    {
        CpuBudget budget = new();
        budget.SetRate(CpuBudget.OneCpu, Second);
        budget.Advance(Second, Second / 2);
        budget.Advance(0, 0);
        budget.Advance(Second, 0);
        Assert.True(budget.IsExhausted);
    }

    [Fact]
    public void Nobody_owes_more_than_a_second()
    {
        CpuBudget budget = new();
        budget.SetRate(CpuBudget.OneCpu / 10, 0);
        budget.Advance(1, 3600 * Second);
        budget.Advance(Second, 0);
        Assert.True(budget.IsExhausted);
        budget.Advance(2 * Second, 0);
        Assert.False(budget.IsExhausted);
    }

    [Fact]
    public void Rates_of_nothing_and_of_everything_are_no_trouble()
    {
        CpuBudget budget = new();
        budget.SetRate(0, 0);
        budget.Advance(long.MaxValue / 2, 0);
        Assert.InRange(budget.UntilNextLook(1), 1, CpuBudget.Period);
        budget.SetRate(1024 * CpuBudget.OneCpu, long.MaxValue / 2);
        budget.Advance(long.MaxValue, 0);
        Assert.False(budget.IsExhausted);
        Assert.InRange(budget.UntilNextLook(1024), 1, CpuBudget.Period);
    }
}
