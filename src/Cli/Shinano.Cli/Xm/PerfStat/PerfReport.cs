using Shinano.Control.Api.Domains;

namespace Shinano.Cli.Xm.PerfStat;

/// <summary>One report of <c>xm perf-stat</c>: what happened since the domain's start, or since the report before. Its JSON is documented in docs/guide/perf-stat.md.</summary>
internal sealed record PerfReport
{
    /// <summary>As <see cref="DomainPerformance.Version"/>.</summary>
    public required int Version { get; init; }

    /// <summary>As it was asked for.</summary>
    public required string Domain { get; init; }

    public required int DomainId { get; init; }

    public required string CpuEngine { get; init; }

    /// <summary>The report is about all of the domain's time.</summary>
    public required bool SinceStart { get; init; }

    /// <summary>The time that it is about, by the domain's own clock.</summary>
    public required double Seconds { get; init; }

    public required IReadOnlyList<PerfReading> Engine { get; init; }

    public required IReadOnlyList<PerfVcpu> Vcpus { get; init; }

    /// <summary>Compares two samples.</summary>
    /// <param name="domain">As it was asked for.</param>
    /// <param name="before">Null for a report since the start. One of another domain (the name went on to its successor) counts as none.</param>
    public static PerfReport Of(string domain, DomainPerformance now, DomainPerformance? before)
    {
        if (before is not null && (before.DomainId != now.DomainId || before.UptimeNanoseconds > now.UptimeNanoseconds))
        {
            before = null;
        }

        double seconds = (now.UptimeNanoseconds - (before?.UptimeNanoseconds ?? 0)) / 1e9;
        return new PerfReport
        {
            Version = now.Version,
            Domain = domain,
            DomainId = now.DomainId,
            CpuEngine = now.CpuEngine,
            SinceStart = before is null,
            Seconds = seconds,
            Engine = Compare(now.Engine, before?.Engine, seconds),
            Vcpus = [.. now.Vcpus.Select(vcpu => new PerfVcpu(
                vcpu.Id, Compare(vcpu.Counters, before?.Vcpus.FirstOrDefault(earlier => earlier.Id == vcpu.Id)?.Counters, seconds)))],
        };
    }

    private static IReadOnlyList<PerfReading> Compare(
        IReadOnlyList<PerformanceCounter> now, IReadOnlyList<PerformanceCounter>? before, double seconds)
    {
        // A counter that was not there before had counted nothing yet.
        Dictionary<string, long> earlier = before?.ToDictionary(counter => counter.Name, counter => counter.Value) ?? [];
        return
        [
            .. now.Select(counter =>
            {
                long? change = counter.Kind == PerformanceCounterKind.Total ? counter.Value - earlier.GetValueOrDefault(counter.Name) : null;
                return new PerfReading(counter.Name, counter.Kind, counter.Value, change, seconds > 0 ? change / seconds : null);
            }),
        ];
    }
}
