namespace Shinano.Network.Control;

/// <summary>A vnic as xend asks the switch for it.</summary>
public sealed record VnicSpec
{
    /// <summary>Its name, e.g. "vnic42".</summary>
    public required string Name { get; init; }

    /// <summary>What the domain process shows to be connected to it: 64 hexadecimal digits.</summary>
    public required string Token { get; init; }

    /// <summary>Its Ethernet address.</summary>
    public required string Mac { get; init; }

    /// <summary>Name of the bridge; made with its first vnic, gone with its last.</summary>
    public required string Bridge { get; init; }

    /// <summary>VLAN of frames without a tag; 0: none.</summary>
    public ushort Vlan { get; init; } = Switching.PortVlan.Default;

    /// <summary>VLANs whose frames have a tag.</summary>
    public IReadOnlyList<ushort> Trunk { get; init; } = [];

    /// <summary>The guest may send as anybody and sees frames to unknown addresses: it bridges or routes for others.</summary>
    public bool IsPromiscuous { get; init; }

    /// <summary>IP addresses that the guest may send from; none: all.</summary>
    public IReadOnlyList<string> Addresses { get; init; } = [];

    /// <summary>Bytes that the guest may send in a second; null: as many as it can.</summary>
    public long? BytesPerSecond { get; init; }

    /// <summary>User-mode NAT for this vnic.</summary>
    public NatSpec? Nat { get; init; }

    /// <summary>TAP interface that connects the bridge with the host's; made by the switch when it is not there.</summary>
    public string? Tap { get; init; }
}
