namespace Shinano.Network.Control;

/// <summary>A vnic's user-mode NAT: a passt that listens.</summary>
public sealed record NatSpec
{
    /// <summary>Unix socket of passt.</summary>
    public required string SocketPath { get; init; }

    /// <summary>Address of the gateway that passt is.</summary>
    public required string Mac { get; init; }

    /// <summary>IPv4 addresses that it answers for.</summary>
    public required IReadOnlyList<string> Addresses { get; init; }
}
