using Shinano.Control.Configuration.Consoles;
using Shinano.Control.Configuration.Disks;
using Shinano.Control.Configuration.Displays;
using Shinano.Control.Configuration.Networks;

namespace Shinano.Control.Configuration;

/// <summary>A domain as its configuration asks for it, checked for types and ranges but not against this host.</summary>
public sealed record DomainConfiguration
{
    /// <summary>Weight of a domain that asks for none; Source: xl.cfg(5): cpu_weight.</summary>
    public const int DefaultCpuWeight = 256;

    /// <summary>Source: xl.cfg(5): cpu_weight.</summary>
    public const int MaximumCpuWeight = 65535;

    public required string Name { get; init; }

    /// <summary>Null: xend makes one.</summary>
    public Guid? Uuid { get; init; }

    /// <summary>Memory at the start, in MiB.</summary>
    public required int MemoryMebibytes { get; init; }

    /// <summary>Ceiling for ballooning, in MiB; at least <see cref="MemoryMebibytes"/>.</summary>
    public required int MaxMemoryMebibytes { get; init; }

    /// <summary>vCPUs online at the start.</summary>
    public required int Vcpus { get; init; }

    public required int MaxVcpus { get; init; }

    /// <summary>Share of the host's CPUs against other domains that want them, 1 to 65535.</summary>
    public int CpuWeight { get; init; } = DefaultCpuWeight;

    /// <summary>Most CPU time over all vCPUs, in percent of one host CPU; 0 is no limit.</summary>
    public int CpuCapPercent { get; init; }

    /// <summary>Host CPUs for each vCPU, by its number; an empty list, and one that is not there, means all.</summary>
    public IReadOnlyList<IReadOnlyList<int>> VcpuAffinity { get; init; } = [];

    /// <summary>What finds the kernel when <see cref="Kernel"/> is empty.</summary>
    public BootLoader BootLoader { get; init; }

    /// <summary>Framebuffer, keyboard and pointer; null for none.</summary>
    public DisplayConfiguration? Display { get; init; }

    /// <summary>As written; relative paths are relative to where xm ran, and xend makes them absolute.</summary>
    public required string Kernel { get; init; }

    public string? Ramdisk { get; init; }

    /// <summary>Complete command line: <c>cmdline</c>, or <c>root=</c> and <c>extra</c> put together.</summary>
    public string CommandLine { get; init; } = "";

    public string? CpuEngine { get; init; }

    /// <summary>Room for translated code, in MiB; null for the engine's default.</summary>
    public int? CodeCacheMebibytes { get; init; }

    public LifecycleAction OnPoweroff { get; init; } = LifecycleAction.Destroy;

    public LifecycleAction OnReboot { get; init; } = LifecycleAction.Restart;

    public LifecycleAction OnCrash { get; init; } = LifecycleAction.Destroy;

    public LifecycleAction OnWatchdog { get; init; } = LifecycleAction.Destroy;

    /// <summary>Disks, in the order of the configuration; each has a number of its own.</summary>
    public IReadOnlyList<DiskConfiguration> Disks { get; init; } = [];

    /// <summary>Network interfaces, in the order of the configuration; each has a number of its own.</summary>
    public IReadOnlyList<VifConfiguration> Vifs { get; init; } = [];

    /// <summary>Consoles beside the first one, by their numbers.</summary>
    public IReadOnlyList<ChannelConfiguration> Channels { get; init; } = [];

    /// <summary>Keys of xl.cfg(5) that were set and are kept but do nothing yet, with their values as text.</summary>
    public IReadOnlyDictionary<string, string> Kept { get; init; } = new Dictionary<string, string>();
}
