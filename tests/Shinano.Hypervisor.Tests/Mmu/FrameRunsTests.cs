using Shinano.Hypervisor.Mmu;

namespace Shinano.Hypervisor.Tests.Mmu;

public sealed class FrameRunsTests
{
    [Fact]
    public void Neighbours_are_one_run_in_whatever_order_they_come()
    {
        FrameRuns runs = new();
        foreach (ulong frame in (ulong[])[9, 3, 4, 20, 2, 10, 12])
        {
            runs.Add(frame);
        }

        Assert.Equal([(2UL, 3UL), (9UL, 2UL), (12UL, 1UL), (20UL, 1UL)], runs.Take());
        Assert.Empty(runs.Take());
    }
}
