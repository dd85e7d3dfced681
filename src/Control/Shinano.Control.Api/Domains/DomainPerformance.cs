namespace Shinano.Control.Api.Domains;

/// <summary>What a domain's CPU engine and vCPUs have done since the domain was built: <c>xm perf-stat</c>. Taken without stopping them.</summary>
public sealed record DomainPerformance
{
    /// <summary>The version of this message that is described here.</summary>
    public const int CurrentVersion = 1;

    /// <summary>
    /// Raised when a field changes its meaning; whoever reads another version refuses. New counters and new fields that may be missing do not raise it, and
    /// a reader shows counters that it does not know by their names.
    /// </summary>
    public required int Version { get; init; }

    public required int DomainId { get; init; }

    public required string CpuEngine { get; init; }

    /// <summary>Since the first unpause, pauses included, in nanoseconds; 0 before it. Rates are differences of totals over differences of this.</summary>
    public required long UptimeNanoseconds { get; init; }

    /// <summary>Of the engine: what the vCPUs share. Empty before the domain is built.</summary>
    public required IReadOnlyList<PerformanceCounter> Engine { get; init; }

    /// <summary>In order of their ids.</summary>
    public required IReadOnlyList<VcpuPerformance> Vcpus { get; init; }
}
