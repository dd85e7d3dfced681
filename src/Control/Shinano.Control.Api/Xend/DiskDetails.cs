using Shinano.Control.Api.Domains.Devices;

namespace Shinano.Control.Api.Xend;

/// <summary>One line of <c>xm block-list</c>.</summary>
public sealed record DiskDetails
{
    /// <summary>The device's number, e.g. "51712".</summary>
    public required string Id { get; init; }

    /// <summary>Its name in the guest, e.g. "xvda".</summary>
    public required string VirtualDevice { get; init; }

    /// <summary>State of the back end (public/io/xenbus.h).</summary>
    public required int State { get; init; }

    /// <summary>The front end's event channel, as the guest wrote it; null before it has.</summary>
    public string? EventChannel { get; init; }

    /// <summary>Grant reference of the front end's first ring page, as the guest wrote it.</summary>
    public string? RingReference { get; init; }

    public required string BackEndPath { get; init; }

    /// <summary>The file or device.</summary>
    public required string Parameters { get; init; }

    /// <summary>"r" or "w".</summary>
    public required string Mode { get; init; }

    /// <summary>What the domain process says; null when it does not.</summary>
    public DeviceStatus? Status { get; init; }
}
