using Shinano.Control.Api.Domains;
using Shinano.Machine.Migration;

namespace Shinano.Machine;

/// <summary>What a domain is assembled from.</summary>
internal sealed record MachineSettings
{
    public required int DomainId { get; init; }

    public required Guid Uuid { get; init; }

    public required string Name { get; init; }

    /// <summary>Bytes, a multiple of 4096.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Ceiling for ballooning, bytes.</summary>
    public required long MaxMemoryBytes { get; init; }

    public required int MaxVcpus { get; init; }

    /// <summary>Most CPU time over all vCPUs, in percent of one host CPU; 0 is no limit.</summary>
    public int CpuCapPercent { get; init; }

    /// <summary>See <see cref="DomainSpec.VcpuAffinity"/>.</summary>
    public IReadOnlyList<IReadOnlyList<int>> VcpuAffinity { get; init; } = [];

    public required string KernelPath { get; init; }

    public string? RamdiskPath { get; init; }

    public string CommandLine { get; init; } = "";

    /// <summary>Name of an engine, or null for the default.</summary>
    public string? CpuEngine { get; init; }

    /// <summary>Makes the engine instead, for tests that look into one; null for the one that is named.</summary>
    public EngineFactory? Engine { get; init; }

    /// <summary>Room for translated code, in bytes, a multiple of 1 MiB; null for the engine's default.</summary>
    public long? CodeCacheBytes { get; init; }

    /// <summary>A xenstore answers the guest; without one start_info names no event channel for it, and the kernel goes on without.</summary>
    public bool HasXenStore { get; init; }

    /// <summary>A saved domain to go on with, instead of a kernel; null for a new one.</summary>
    public string? RestorePath { get; init; }

    /// <summary>Where a domain comes from that goes on here, instead of a kernel; null for a new one.</summary>
    public StateReceiver? Receiver { get; init; }

    /// <summary>A running domain to be a copy of, instead of a kernel; null for a new one.</summary>
    public ForkOffer? Fork { get; init; }

    /// <summary>The part of a specification that the assembly needs.</summary>
    public static MachineSettings Of(DomainSpec spec) => new()
    {
        DomainId = spec.DomainId,
        Uuid = spec.Uuid,
        Name = spec.Name,
        MemoryBytes = spec.MemoryBytes,
        MaxMemoryBytes = spec.MaxMemoryBytes,
        MaxVcpus = spec.MaxVcpus,
        CpuCapPercent = spec.CpuCapPercent,
        VcpuAffinity = spec.VcpuAffinity,
        KernelPath = spec.KernelPath,
        RamdiskPath = spec.RamdiskPath,
        CommandLine = spec.CommandLine,
        CpuEngine = spec.CpuEngine,
        CodeCacheBytes = spec.CodeCacheBytes,
        HasXenStore = true,
        RestorePath = spec.RestorePath,
        Fork = spec.Fork,
    };
}
