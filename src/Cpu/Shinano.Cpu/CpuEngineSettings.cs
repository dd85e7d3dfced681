namespace Shinano.Cpu;

/// <summary>What an engine needs to know of the domain it serves.</summary>
/// <param name="Kind">PV or full CPU.</param>
/// <param name="Features">What CPUID may advertise and the engine accepts; an instruction outside of it is #UD.</param>
public sealed record CpuEngineSettings(GuestKind Kind, CpuFeatures Features);
