using System.Text.Json.Serialization;

namespace Shinano.Control.Api.Domains.Devices;

/// <summary>A virtual framebuffer, shown over RFB.</summary>
public sealed record FramebufferDeviceSpec : DeviceSpec
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override string Kind => "vfb";

    /// <summary>Unix stream socket that the domain process listens on (mode 0600) and speaks RFB at.</summary>
    public required string SocketPath { get; init; }

    /// <summary>VNC password; null for none.</summary>
    public string? Password { get; init; }
}
