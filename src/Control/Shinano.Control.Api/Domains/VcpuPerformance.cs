namespace Shinano.Control.Api.Domains;

/// <summary>The counters of one vCPU.</summary>
/// <param name="Id">0-based vCPU id.</param>
/// <param name="Counters">Exits and exceptions of a kind that there has been none of are left out.</param>
public sealed record VcpuPerformance(int Id, IReadOnlyList<PerformanceCounter> Counters);
