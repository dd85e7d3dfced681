namespace Shinano.Control.Api.Xend;

/// <summary>Facts of the host for <c>xm info</c> and <c>xentop</c>.</summary>
public sealed record HostInformation
{
    public required string HostName { get; init; }

    public required string KernelRelease { get; init; }

    public required string KernelVersion { get; init; }

    public required string Machine { get; init; }

    public required int Cpus { get; init; }

    public required int Nodes { get; init; }

    public required int CoresPerSocket { get; init; }

    public required int ThreadsPerCore { get; init; }

    public required int CpuMegahertz { get; init; }

    /// <summary>CPUID words as Xen prints them.</summary>
    public required string HardwareCapabilities { get; init; }

    public required long TotalMemoryBytes { get; init; }

    public required long FreeMemoryBytes { get; init; }

    public required long UptimeNanoseconds { get; init; }

    /// <summary>Version of Shinano.</summary>
    public required string ToolVersion { get; init; }

    public required int XendProcessId { get; init; }

    public required DateTimeOffset XendStarted { get; init; }

    public required string DefaultCpuEngine { get; init; }
}
