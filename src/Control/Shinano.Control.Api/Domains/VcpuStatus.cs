namespace Shinano.Control.Api.Domains;

/// <summary>One vCPU at the time of the call.</summary>
public sealed record VcpuStatus
{
    /// <summary>0-based vCPU id.</summary>
    public required int Id { get; init; }

    public required VcpuRunState State { get; init; }

    /// <summary>Host CPU the vCPU's thread last ran on; -1 when unknown or offline.</summary>
    public int HostCpu { get; init; } = -1;

    /// <summary>Time this vCPU has spent executing for the guest (emulation included), in nanoseconds.</summary>
    public long CpuTimeNanoseconds { get; init; }

    /// <summary>The kernel's number of its thread in the domain process; 0 before the domain runs first and after it has stopped.</summary>
    public int ThreadId { get; init; }

    /// <summary>Host CPUs its thread may run on; empty means all.</summary>
    public IReadOnlyList<int> Affinity { get; init; } = [];
}
