using Shinano.Control.Daemon.Scheduling;

namespace Shinano.Control.Tests.Scheduling;

/// <summary>Weights and work conservation on a model of a host.</summary>
public sealed class ShareControllerTests
{
    private const int WarmUp = 3_000;
    private const int Measured = 10_000;

    [Theory]
    [InlineData(1, new[] { 256, 512 }, new[] { 1, 1 })]
    [InlineData(1, new[] { 256, 1024 }, new[] { 1, 1 })]
    [InlineData(1, new[] { 128, 256, 512 }, new[] { 1, 1, 1 })]
    [InlineData(1, new[] { 16, 1024 }, new[] { 1, 1 })]
    [InlineData(1, new[] { 256, 256 }, new[] { 4, 1 })]
    [InlineData(2, new[] { 256, 512 }, new[] { 2, 2 })]
    [InlineData(2, new[] { 128, 256, 512 }, new[] { 2, 2, 2 })]
    [InlineData(4, new[] { 100, 200, 300, 400, 500 }, new[] { 4, 4, 5, 4, 4 })]
    public void Domains_that_want_everything_share_by_weight(int cpus, int[] weights, int[] vcpus)
    {
        HostModel host = new(cpus);
        for (int i = 0; i < weights.Length; i++)
        {
            host.Add(weights[i], vcpus[i]);
        }

        host.Run(WarmUp);
        AssertShares(ShareController.Divide(cpus, [.. weights.Zip(vcpus, (weight, count) => ((double)weight, (double)count))]), host.Run(Measured));
    }

    /// <summary>Domains with fewer vCPUs than others cannot use all of their share; the others do.</summary>
    [Theory]
    [InlineData(2, new[] { 128, 256, 512 }, new[] { 1, 1, 1 })]
    [InlineData(2, new[] { 256, 1024 }, new[] { 4, 1 })]
    [InlineData(4, new[] { 100, 200, 300, 400, 500 }, new[] { 4, 3, 2, 1, 4 })]
    public void Nothing_stays_idle_for_the_sake_of_proportions(int cpus, int[] weights, int[] vcpus)
    {
        HostModel host = new(cpus);
        for (int i = 0; i < weights.Length; i++)
        {
            host.Add(weights[i], vcpus[i]);
        }

        host.Run(WarmUp);
        Assert.InRange(host.Run(Measured).Sum(), 0.95 * cpus, cpus);
    }

    /// <summary>A seed fixes a set of hosts; another is as good. Each domain has as many vCPUs as the host has CPUs: docs/design/scheduling.md, "What is missed".</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(20_261_130)]
    public void Any_domains_share_by_weight(int seed)
    {
        Random random = new(seed);
        for (int round = 0; round < 5; round++)
        {
            int cpus = random.Next(1, 5);
            HostModel host = new(cpus);
            (int Weight, int Vcpus)[] domains = [.. Enumerable.Range(0, random.Next(2, 6)).Select(_ => (random.Next(64, 1024), random.Next(cpus, 5)))];
            foreach ((int weight, int vcpus) in domains)
            {
                host.Add(weight, vcpus);
            }

            host.Run(WarmUp);
            double[] expected = ShareController.Divide(cpus, [.. domains.Select(domain => ((double)domain.Weight, (double)domain.Vcpus))]);
            AssertShares(expected, host.Run(Measured), $"seed {seed}, round {round}: {cpus} CPUs, {string.Join(' ', domains)}");
        }
    }

    [Fact]
    public void Idle_neighbours_slow_nobody()
    {
        HostModel host = new(1);
        ModelDomain busy = host.Add(weight: 1, vcpus: 1);
        host.Add(weight: 65535, vcpus: 1, duty: 0);
        Assert.InRange(host.Run(Measured)[0], 0.99, 1);
        Assert.Null(busy.Limit);
    }

    [Fact]
    public void Neighbours_with_a_cpu_of_their_own_slow_nobody()
    {
        HostModel host = new(2);
        ModelDomain light = host.Add(weight: 1, vcpus: 1);
        ModelDomain heavy = host.Add(weight: 65535, vcpus: 1);
        Assert.All(host.Run(Measured), used => Assert.InRange(used, 0.99, 1));
        Assert.Null(light.Limit);
        Assert.Null(heavy.Limit);
    }

    [Fact]
    public void What_a_neighbour_leaves_is_used()
    {
        HostModel host = new(1);
        host.Add(weight: 16, vcpus: 1);
        host.Add(weight: 1024, vcpus: 1, duty: 0.3);
        host.Run(WarmUp);
        double[] used = host.Run(Measured);
        Assert.InRange(used[1], 0.28, 0.31);
        Assert.InRange(used.Sum(), 0.97, 1);
    }

    [Fact]
    public void A_limit_ends_soon_after_the_neighbour_stops_and_comes_back_with_it()
    {
        HostModel host = new(1);
        host.Add(weight: 64, vcpus: 1);
        ModelDomain heavy = host.Add(weight: 1024, vcpus: 1);
        host.Run(WarmUp);
        heavy.Vcpus[0].Duty = 0;
        host.Run(1_500);
        Assert.InRange(host.Run(Measured)[0], 0.99, 1);
        heavy.Vcpus[0].Duty = 1;
        host.Run(WarmUp);
        AssertShares([1.0 / 17, 16.0 / 17], host.Run(Measured));
    }

    [Theory]
    [InlineData(0, 0.45)]
    [InlineData(0.02, 0.4)]
    public void A_neighbour_that_sleeps_slows_nobody_on_a_host_that_is_busy_with_other_programs(double duty, double least)
    {
        HostModel host = new(1);
        host.Add(weight: 128, vcpus: 2);
        ModelDomain second = host.Add(weight: 256, vcpus: 2);
        ModelDomain third = host.Add(weight: 512, vcpus: 2);
        host.AddOther();
        host.AddOther();
        host.Run(WarmUp);
        foreach (ModelVcpu vcpu in (ModelVcpu[])[.. second.Vcpus, .. third.Vcpus])
        {
            vcpu.Duty = duty;
        }

        host.Run(2_000);
        Assert.InRange(host.Run(Measured)[0], least, 0.51);
    }

    [Fact]
    public void Domains_on_other_cpus_are_no_competitors()
    {
        HostModel host = new(2);
        host.Add(256, 1, 1, 0);
        host.Add(512, 1, 1, 0);
        host.Add(64, 1, 1, 1);
        host.Run(WarmUp);
        AssertShares([1.0 / 3, 2.0 / 3, 1], host.Run(Measured));
    }

    [Fact]
    public void Other_programs_leave_the_proportion_as_it_is()
    {
        HostModel host = new(1);
        host.Add(256, 1);
        host.Add(1024, 1);
        host.AddOther();
        host.Run(WarmUp);
        double[] used = host.Run(Measured);
        Assert.InRange(used[1] / used[0], 3.6, 4.4);
        Assert.InRange(used[1], 0.4, 0.5);
    }

    private static void AssertShares(double[] expected, double[] used, string what = "")
    {
        string figures = $"{what}: expected {string.Join(' ', expected.Select(one => $"{one:f3}"))}, got {string.Join(' ', used.Select(one => $"{one:f3}"))}";
        Assert.True(expected.Zip(used).All(pair => Math.Abs(pair.Second - pair.First) <= 0.1 * pair.First), figures);
        Assert.True(used.Sum() >= 0.97 * expected.Sum(), figures);
    }
}
