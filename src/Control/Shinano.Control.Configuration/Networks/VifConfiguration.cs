namespace Shinano.Control.Configuration.Networks;

/// <summary>One entry of <c>vif</c>. Source: xl-network-configuration(5), and keys of our own for user-mode networks and VLANs.</summary>
public sealed record VifConfiguration
{
    /// <summary>Number of the device, from 0: its place in the list, or <c>devid</c>.</summary>
    public required int Number { get; init; }

    /// <summary>Ethernet address with lower-case digits; null: xend makes one under 00:16:3e.</summary>
    public string? Mac { get; init; }

    /// <summary>Name of the switch; null for the default one.</summary>
    public string? Bridge { get; init; }

    /// <summary>As stated; null: the host's bridge when there is one of the name and we are root, else user-mode NAT.</summary>
    public NetworkKind? Kind { get; init; }

    /// <summary>Name of a hot-plug script.</summary>
    public string? Script { get; init; }

    /// <summary>Bytes that the guest may send in a second; null: as many as it can.</summary>
    public long? BytesPerSecond { get; init; }

    /// <summary>VLAN of frames without a tag, 1 to 4094; 0: none (a trunk without a native VLAN); null: the default.</summary>
    public int? Vlan { get; init; }

    /// <summary>VLANs whose frames have a tag.</summary>
    public IReadOnlyList<int> Trunk { get; init; } = [];

    /// <summary>IP addresses that the guest may use; none: all. The first IPv4 address is the one that user-mode NAT gives.</summary>
    public IReadOnlyList<string> Addresses { get; init; } = [];

    /// <summary>Ports of the host's that lead to the guest; user-mode NAT only.</summary>
    public IReadOnlyList<PortForward> Forwards { get; init; } = [];

    /// <summary>The guest reaches the host's loopback at the gateway's address; user-mode NAT only.</summary>
    public bool ReachesLoopback { get; init; }

    /// <summary>The guest may send as anybody: it bridges for others.</summary>
    public bool IsPromiscuous { get; init; }

    /// <summary>Model of an emulated interface; kept for domains that have one.</summary>
    public string? Model { get; init; }
}
