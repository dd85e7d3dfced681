using System.Text.Json.Serialization;

namespace Shinano.Control.Api.Domains.Devices;

/// <summary>A virtual network interface.</summary>
public sealed record NetworkDeviceSpec : DeviceSpec
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override string Kind => "vif";

    /// <summary>The switch's socket for domain processes; empty for an interface whose cable is unplugged.</summary>
    public required string LinkPath { get; init; }

    /// <summary>What is shown there to be connected to the vnic.</summary>
    public required string Token { get; init; }

    /// <summary>The guest's address, to be announced to the switch: of an interface that goes on in a restored domain. Null for a new one.</summary>
    public string? AnnouncedMac { get; init; }
}
