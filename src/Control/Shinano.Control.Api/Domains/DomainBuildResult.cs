namespace Shinano.Control.Api.Domains;

/// <summary>What xend needs from a built domain to lay out its xenstore nodes and to introduce it.</summary>
public sealed record DomainBuildResult
{
    /// <summary>Machine frame of the xenstore ring (start_info.store_mfn); written to <c>store/ring-ref</c>.</summary>
    public required ulong StoreRingFrame { get; init; }

    /// <summary>Guest's event channel port of the xenstore ring; written to <c>store/port</c>.</summary>
    public required uint StoreEventPort { get; init; }

    /// <summary>Machine frame of the console ring (start_info.console.domU.mfn); written to <c>console/ring-ref</c>.</summary>
    public required ulong ConsoleRingFrame { get; init; }

    /// <summary>Guest's event channel port of the console ring; written to <c>console/port</c>.</summary>
    public required uint ConsoleEventPort { get; init; }

    /// <summary>TCP port that VNC viewers connect to; null when there is none.</summary>
    public int? VncPort { get; init; }

    /// <summary>4 KiB pages the domain was built with.</summary>
    public required long TotalPages { get; init; }

    /// <summary>One line naming the kernel, e.g. "linux 2.6, virtual base 0xffffffff80000000, bzImage lz4".</summary>
    public string? KernelDescription { get; init; }
}
