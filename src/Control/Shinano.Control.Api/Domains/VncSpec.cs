namespace Shinano.Control.Api.Domains;

/// <summary>Where a domain's display can be reached by VNC viewers.</summary>
public sealed record VncSpec
{
    /// <summary>TCP port of display 0. Source: RFC 6143 §7.1 and the assigned port.</summary>
    public const int FirstPort = 5900;

    /// <summary>Address to listen on, IPv4 or IPv6.</summary>
    public required string Listen { get; init; }

    /// <summary>Display: the TCP port is 5900 higher.</summary>
    public required int Display { get; init; }

    /// <summary>Take the first display from <see cref="Display"/> on that is free.</summary>
    public required bool FindUnused { get; init; }

    /// <summary>Unix socket at which the domain process speaks RFB (<see cref="Devices.FramebufferDeviceSpec.SocketPath"/>).</summary>
    public required string SocketPath { get; init; }
}
