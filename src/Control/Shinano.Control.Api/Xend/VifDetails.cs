using Shinano.Control.Api.Domains.Devices;
using Shinano.Network.Control;

namespace Shinano.Control.Api.Xend;

/// <summary>One line of <c>xm network-list</c>.</summary>
public sealed record VifDetails
{
    /// <summary>The device's number.</summary>
    public required string Id { get; init; }

    public required string Mac { get; init; }

    /// <summary>State of the back end (public/io/xenbus.h).</summary>
    public required int State { get; init; }

    /// <summary>The front end's event channel, as the guest wrote it; null before it has.</summary>
    public string? EventChannel { get; init; }

    /// <summary>Grant references of the front end's first rings, as the guest wrote them.</summary>
    public string? TransmitRingReference { get; init; }

    public string? ReceiveRingReference { get; init; }

    public required string BackEndPath { get; init; }

    /// <summary>Its vnic, e.g. "vnic42".</summary>
    public string? Vnic { get; init; }

    /// <summary>What the switch says of it; null when it does not.</summary>
    public VnicStatus? Switch { get; init; }

    /// <summary>What the domain process says; null when it does not.</summary>
    public DeviceStatus? Status { get; init; }
}
