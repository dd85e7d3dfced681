using Shinano.Control.Api.Domains.Devices;

namespace Shinano.Control.Api.Domains;

/// <summary>A snapshot of a domain, taken by its domain process. Every number is of the time of the call.</summary>
public sealed record DomainStatus
{
    public required DomainStates State { get; init; }

    /// <summary>Set once the guest has shut down; stays set until the domain process ends.</summary>
    public ShutdownReason? ShutdownReason { get; init; }

    /// <summary>Null until <see cref="IDomainProcess.BuildAsync"/> succeeded. An adopting xend reads it here.</summary>
    public DomainBuildResult? Build { get; init; }

    public required IReadOnlyList<VcpuStatus> Vcpus { get; init; }

    /// <summary>Memory the domain holds now, in bytes (d->tot_pages * 4096).</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Ceiling on <see cref="MemoryBytes"/>, in bytes (XEN_DOMCTL_max_mem).</summary>
    public required long MaxMemoryBytes { get; init; }

    /// <summary>Since the first unpause, pauses included, in nanoseconds; 0 before it.</summary>
    public required long UptimeNanoseconds { get; init; }

    /// <summary>Engine that runs this domain ("interpreter", "translator", "kvm").</summary>
    public required string CpuEngine { get; init; }

    /// <summary>Bytes that guest and viewers have moved through the console, since the build.</summary>
    public long ConsoleBytesOut { get; init; }

    public long ConsoleBytesIn { get; init; }

    /// <summary>Devices attached at present.</summary>
    public IReadOnlyList<DeviceStatus> Devices { get; init; } = [];

    /// <summary>Sum over <see cref="Vcpus"/>, nanoseconds.</summary>
    public long CpuTimeNanoseconds
    {
        get
        {
            long sum = 0;
            foreach (VcpuStatus vcpu in Vcpus)
            {
                sum += vcpu.CpuTimeNanoseconds;
            }

            return sum;
        }
    }
}
