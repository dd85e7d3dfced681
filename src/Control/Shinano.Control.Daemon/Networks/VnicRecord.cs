using Shinano.Control.Configuration.Networks;
using Shinano.Network.Control;

namespace Shinano.Control.Daemon.Networks;

/// <summary>A vnic as xend remembers it, to make it again when the switch, its passt or xend has ended.</summary>
internal sealed record VnicRecord
{
    public required int Domain { get; init; }

    /// <summary>The device's number.</summary>
    public required string Device { get; init; }

    /// <summary>What the switch is told.</summary>
    public required VnicSpec Spec { get; init; }

    /// <summary>Address that user-mode NAT gives; null without it.</summary>
    public string? Address { get; init; }

    public IReadOnlyList<PortForward> Forwards { get; init; } = [];

    public bool ReachesLoopback { get; init; }
}
