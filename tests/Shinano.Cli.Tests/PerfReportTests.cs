using Shinano.Cli.Xm.PerfStat;
using Shinano.Control.Api.Domains;

namespace Shinano.Cli.Tests;

/// <summary>The arithmetic of <c>xm perf-stat</c> and its columns.</summary>
public sealed class PerfReportTests
{
    [Fact]
    public void A_counter_that_appears_later_counts_from_nothing()
    {
        PerfReport report = PerfReport.Of("d", Sample(uptime: 4, exits: 6), Sample(uptime: 2, exits: null));
        PerfReading exits = Assert.Single(report.Vcpus[0].Counters, reading => reading.Name == "exit.Kicked");
        Assert.Equal((6L, 6L, 3.0), (exits.Value, exits.Change, exits.PerSecond));
        Assert.Equal((false, 2.0), (report.SinceStart, report.Seconds));
    }

    [Fact]
    public void A_successor_under_the_same_name_is_reported_from_its_start()
    {
        PerfReport report = PerfReport.Of("d", Sample(uptime: 5, exits: 1, id: 4), Sample(uptime: 3, exits: 100, id: 3));
        Assert.Equal((true, 5.0), (report.SinceStart, report.Seconds));
        Assert.Equal(1, Assert.Single(report.Vcpus[0].Counters, reading => reading.Name == "exit.Kicked").Change);
    }

    [Fact]
    public void No_time_gives_no_rates()
    {
        PerfReport report = PerfReport.Of("d", Sample(uptime: 0, exits: 3), null);
        Assert.All(report.Vcpus.SelectMany(vcpu => vcpu.Counters), reading => Assert.Null(reading.PerSecond));
        Assert.Equal("exit.Kicked                                      3              -", PerfText.Of(report).Last());
    }

    [Fact]
    public void Exits_and_exceptions_stand_together_whichever_vcpu_has_them()
    {
        DomainPerformance sample = Sample(uptime: 1, exits: null) with
        {
            Vcpus =
            [
                new VcpuPerformance(0, [Total("pauses", 1), Total("exit.Syscall", 20), Total("exception.PageFault", 4)]),
                new VcpuPerformance(1, [Total("pauses", 2), Total("exit.Kicked", 5)]),
            ],
        };
        Assert.Equal(
            [
                "d (id 3), fake, 2 vCPUs, 1.0 s since its start",
                "engine                                       count             /s",
                "code-cache.bytes                                 7              -",
                "vCPUs                                        count             /s        vcpu0/s        vcpu1/s",
                "pauses                                           3              3              1              2",
                "exit.Syscall                                    20             20             20              0",
                "exit.Kicked                                      5              5              0              5",
                "exception.PageFault                              4              4              4              0",
            ],
            PerfText.Of(PerfReport.Of("d", sample, null)));
    }

    private static DomainPerformance Sample(int uptime, long? exits, int id = 3) => new()
    {
        Version = DomainPerformance.CurrentVersion,
        DomainId = id,
        CpuEngine = "fake",
        UptimeNanoseconds = uptime * 1_000_000_000L,
        Engine = [new PerformanceCounter("code-cache.bytes", PerformanceCounterKind.Level, 7)],
        Vcpus = [new VcpuPerformance(0, [Total("pauses", 9), .. exits is { } count ? [Total("exit.Kicked", count)] : Array.Empty<PerformanceCounter>()])],
    };

    private static PerformanceCounter Total(string name, long value) => new(name, PerformanceCounterKind.Total, value);
}
