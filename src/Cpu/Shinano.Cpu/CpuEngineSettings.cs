namespace Shinano.Cpu;

/// <summary>What an engine needs to know of the domain it serves.</summary>
/// <param name="Kind">PV or full CPU.</param>
/// <param name="Features">What CPUID may advertise and the engine accepts; an instruction outside of it is #UD.</param>
public sealed record CpuEngineSettings(GuestKind Kind, CpuFeatures Features)
{
    /// <summary>Most bytes of generated code, a multiple of 1 MiB, at most 1 GiB; null for the engine's default. An engine that generates none ignores it.</summary>
    public long? CodeCacheBytes { get; init; }
}
