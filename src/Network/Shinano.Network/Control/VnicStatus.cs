namespace Shinano.Network.Control;

/// <summary>A vnic as the switch has it.</summary>
public sealed record VnicStatus
{
    public required string Name { get; init; }

    public required string Mac { get; init; }

    public required string Bridge { get; init; }

    public ushort Vlan { get; init; }

    public IReadOnlyList<ushort> Trunk { get; init; } = [];

    public IReadOnlyList<string> Addresses { get; init; } = [];

    public long? BytesPerSecond { get; init; }

    /// <summary>Its domain process is connected.</summary>
    public bool IsConnected { get; init; }

    /// <summary>"user", "tap" or "none".</summary>
    public required string Uplink { get; init; }

    /// <summary>Its user-mode NAT is connected; true without one.</summary>
    public bool IsUplinkConnected { get; init; } = true;

    /// <summary>File of the capture that is under way.</summary>
    public string? Capture { get; init; }

    public VnicCounters Counters { get; init; }
}
