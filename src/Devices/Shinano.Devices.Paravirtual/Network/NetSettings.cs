using Shinano.Network.Frames;

namespace Shinano.Devices.Paravirtual.Network;

/// <summary>What a network interface is.</summary>
public sealed record NetSettings
{
    /// <summary>Number of the device, as in xenstore.</summary>
    public required string Id { get; init; }

    /// <summary>The switch's socket for domain processes.</summary>
    public required string LinkPath { get; init; }

    /// <summary>Token of its vnic.</summary>
    public required string Token { get; init; }

    /// <summary>The guest's address, which is announced to the switch because the guest was somewhere else before; null for a guest that will speak for itself.</summary>
    public MacAddress? Announced { get; init; }

    /// <summary>Pairs of rings that a front end may have at most.</summary>
    public int MaximumQueues { get; init; } = 4;
}
