using System.Text.Json.Serialization;

namespace Shinano.Control.Api.Domains.Devices;

/// <summary>A console beside the one that every domain has.</summary>
public sealed record ConsoleDeviceSpec : DeviceSpec
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override string Kind => "console";

    /// <summary>As <see cref="ConsoleSpec.SocketPath"/>.</summary>
    public required string SocketPath { get; init; }

    /// <summary>Viewers are sent what was there before them; else they get what comes while they are there.</summary>
    public bool SendsBacklog { get; init; } = true;

    /// <summary>Latest output kept in memory for viewers that attach later, or are slow, in bytes.</summary>
    public int BacklogBytes { get; init; } = 1 << 18;
}
