namespace Shinano.Control.Api.Domains;

/// <summary>
/// Everything a domain process is told at its start: <c>dotnet Shinano.Machine.dll domain --spec FILE</c>, FILE being this record as JSON
/// (see <see cref="DomainSpecFile"/>). xend owns the file; the domain process only reads it. All paths are absolute.
/// </summary>
public sealed record DomainSpec
{
    public required int DomainId { get; init; }

    /// <summary>The domain's handle (xen_domain_handle_t).</summary>
    public required Guid Uuid { get; init; }

    public required string Name { get; init; }

    /// <summary>Memory to build with, in bytes; a multiple of 4096.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Ceiling for ballooning, in bytes; not below <see cref="MemoryBytes"/>.</summary>
    public required long MaxMemoryBytes { get; init; }

    /// <summary>
    /// vCPUs to allow online at the start, 1 to <see cref="MaxVcpus"/>. The guest learns it through xenstore <c>cpu/N/availability</c>; the domain
    /// process creates <see cref="MaxVcpus"/>.
    /// </summary>
    public required int Vcpus { get; init; }

    public required int MaxVcpus { get; init; }

    public required string KernelPath { get; init; }

    public string? RamdiskPath { get; init; }

    /// <summary>
    /// A saved domain (docs/formats/saved-domain.md) that the domain goes on with; kernel and ramdisk are not read then. Null for a domain that boots.
    /// </summary>
    public string? RestorePath { get; init; }

    /// <summary>
    /// xend's socket on which a domain comes that goes on here (docs/formats/migration-stream.md); null for others. Until <see cref="IDomainProcess.KeepAsync"/> the
    /// process ends when that connection does.
    /// </summary>
    public string? ArrivalSocketPath { get; init; }

    /// <summary>A running domain that this one is a copy of, and goes on as; kernel and ramdisk are not read then. Null for any other.</summary>
    public ForkOffer? Fork { get; init; }

    /// <summary>Kernel command line, complete.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>"interpreter", "translator", "kvm"; null takes the default. An engine that is not there is a build failure.</summary>
    public string? CpuEngine { get; init; }

    /// <summary>Room for translated code, in bytes, a multiple of 1 MiB; null takes the engine's default. An engine that translates nothing ignores it.</summary>
    public long? CodeCacheBytes { get; init; }

    /// <summary>Host CPUs that each vCPU's thread may run on, by the vCPU's number; an empty list, and one that is not there, means all.</summary>
    public IReadOnlyList<IReadOnlyList<int>> VcpuAffinity { get; init; } = [];

    /// <summary>Most CPU time over all vCPUs, in percent of one host CPU; 0 is no limit.</summary>
    public int CpuCapPercent { get; init; }

    /// <summary>Unix stream socket that the domain process listens on (mode 0600) for <see cref="IDomainProcess"/>.</summary>
    public required string ControlSocketPath { get; init; }

    /// <summary>
    /// Unix stream socket that xend listens on. The domain process connects after the build and carries the bytes of the domain's xenstore ring
    /// over it, both ways; it connects again, for as long as it lives, when xend goes and comes back.
    /// </summary>
    public required string XenStoreRelaySocketPath { get; init; }

    /// <summary>
    /// What the domain process shows on <see cref="XenStoreRelaySocketPath"/> to speak for its domain: 32 hexadecimal digits, random for each domain. Empty
    /// in a file of before there were tokens: nobody speaks for that domain.
    /// </summary>
    public string XenStoreToken { get; init; } = "";

    public required ConsoleSpec Console { get; init; }

    /// <summary>Where VNC viewers come in; null when the domain has no display.</summary>
    public VncSpec? Vnc { get; init; }

    /// <summary>Directory for this domain's own files (LogDirectory).</summary>
    public required string LogDirectory { get; init; }

    /// <summary>
    /// Where a domain process that ends before its control socket exists leaves a <see cref="DomainFailure"/> as JSON. Written under a
    /// temporary name and renamed.
    /// </summary>
    public required string FailurePath { get; init; }
}
