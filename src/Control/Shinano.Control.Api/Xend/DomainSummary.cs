using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;

namespace Shinano.Control.Api.Xend;

/// <summary>One line of <c>xm list</c>: a running domain, Domain-0, or a managed domain that does not run.</summary>
public sealed record DomainSummary
{
    /// <summary>Null for a managed domain that does not run; 0 is the host.</summary>
    public int? Id { get; init; }

    public required string Name { get; init; }

    public required Guid Uuid { get; init; }

    /// <summary>Memory held now, in bytes.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Ceiling in bytes; null is no limit (Domain-0).</summary>
    public long? MaxMemoryBytes { get; init; }

    /// <summary>vCPUs online.</summary>
    public required int Vcpus { get; init; }

    public int MaxVcpus { get; init; }

    public DomainStates State { get; init; }

    public ShutdownReason? ShutdownReason { get; init; }

    public long CpuTimeNanoseconds { get; init; }

    /// <summary>Since it was first let run, nanoseconds.</summary>
    public long UptimeNanoseconds { get; init; }

    public string? CpuEngine { get; init; }

    /// <summary>Share of the host's CPUs against other domains that want them; 256 is the usual one.</summary>
    public int CpuWeight { get; init; } = 256;

    /// <summary>Most CPU time, in percent of one host CPU; 0 is no limit.</summary>
    public int CpuCapPercent { get; init; }

    public bool Managed { get; init; }

    /// <summary>False when the domain process did not answer and numbers are those of its start.</summary>
    public bool Responding { get; init; } = true;

    /// <summary>Address that VNC viewers connect to; null when it has no display.</summary>
    public string? VncListen { get; init; }

    /// <summary>TCP port that VNC viewers connect to.</summary>
    public int? VncPort { get; init; }

    public IReadOnlyList<VcpuStatus> VcpuDetails { get; init; } = [];

    /// <summary>Its devices, with what they have counted.</summary>
    public IReadOnlyList<DeviceStatus> Devices { get; init; } = [];
}
