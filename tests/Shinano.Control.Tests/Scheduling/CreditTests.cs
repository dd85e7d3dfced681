using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Scheduling;
using Shinano.Linux;

namespace Shinano.Control.Tests.Scheduling;

/// <summary>Weight, cap and affinity as xend keeps them; the domain process is the double.</summary>
public sealed class CreditTests
{
    private static readonly string First = $"{ThreadAffinity.OfCurrentThread()[0]}";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_was_set_is_there_after_the_next_xend_and_after_a_restart()
    {
        await using TestHome home = await TestHome.StartProcessAsync();
        CreatedDomain domain = (await home.CreateAsync("a", $"vcpus = 2; cpu_weight = 300; cap = 120; cpus = ['{First}']"))!;
        Assert.Equal((300, 120, 120L, $"[{First}] []"), await SeenAsync(home));
        await home.Client.SetCreditAsync("a", new CreditRequest(1000, null), Cancellation);
        await home.Client.SetCreditAsync("a", new CreditRequest(null, 50), Cancellation);
        await home.Client.PinAsync("a", new PinRequest(1, First), Cancellation);
        await home.Client.PinAsync("a", new PinRequest(0, "all"), Cancellation);
        Assert.Equal((1000, 50, 50L, $"[] [{First}]"), await SeenAsync(home));

        await home.KillXendAsync();
        await home.StartXendAsync();
        Assert.Equal((1000, 50, 50L, $"[] [{First}]"), await SeenAsync(home));

        Task<DomainOutcome> ended = home.Client.WaitForEndAsync(domain.Id, Cancellation);
        await FakeGuest.TypeAsync(domain.ConsoleSocket, "reboot", Cancellation);
        Assert.Equal("a", (await ended).Successor!.Name);
        Assert.Equal((1000, 50, 50L, $"[] [{First}]"), await SeenAsync(home));
    }

    [Fact]
    public async Task What_makes_no_sense_is_refused_and_changes_nothing()
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a", "vcpus = 2");
        foreach (CreditRequest request in (CreditRequest[])[new(0, null), new(65536, null), new(-1, 10), new(null, -1), new(null, 201), new(0, 10)])
        {
            await RefusedAsync(home.Client.SetCreditAsync("a", request, Cancellation));
        }

        foreach (PinRequest request in (PinRequest[])[new(2, "all"), new(-1, "all"), new(0, "1023"), new(null, ""), new(0, "x"), new(0, "^0")])
        {
            await RefusedAsync(home.Client.PinAsync("a", request, Cancellation));
        }

        Assert.Equal((256, 0, 0L, "[] []"), await SeenAsync(home));
        await Assert.ThrowsAsync<XendFailureException>(() => home.Client.SetCreditAsync("0", new CreditRequest(1, null), Cancellation));
        await Assert.ThrowsAsync<XendFailureException>(() => home.CreateAsync("b", "cpus = '1023'"));
    }

    [Fact]
    public void Idle_time_is_read_of_each_cpu() => Assert.Equal(
        new Dictionary<int, long> { [0] = 450_000_000, [3] = 1_000_000_000 },
        HostIdleTime.Parse(["cpu  9 9 9 9 9 9", "cpu0 1 2 3 40 5 0 0 0 0 0", "cpu3 1 2 3 100 0", "cpu4 1", "cpux 1 2 3 4 5 6", "intr 4 5 6 7 8 9"]));

    private static async Task RefusedAsync(Task task) =>
        Assert.Equal(DomainFailureCode.InvalidArgument, (await Assert.ThrowsAsync<XendFailureException>(() => task)).Failure.Code);

    /// <summary>What is listed, and what the domain process was told.</summary>
    private static async Task<(int Weight, int Cap, long ProcessCap, string Affinity)> SeenAsync(TestHome home)
    {
        DomainSummary summary = (await home.Client.DescribeAsync("a", Cancellation)).Summary;
        PerfCounter cap = (await home.Client.GetCountersAsync("a", Cancellation)).Single(counter => counter.Name == "cap");
        return (summary.CpuWeight, summary.CpuCapPercent, cap.Value, string.Join(' ', summary.VcpuDetails.Select(vcpu => $"[{string.Join(',', vcpu.Affinity)}]")));
    }
}
