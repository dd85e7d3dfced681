namespace Shinano.Control.Api.Domains;

/// <summary>One counter of the hypervisor core, e.g. "hypercall.mmu_update" or "hypercall.unknown.55".</summary>
public sealed record PerfCounter(string Name, long Value);
