using System.Text.Json.Serialization;

namespace Shinano.Control.Api.Domains.Devices;

/// <summary>A virtual keyboard and pointer, which takes the input of the viewers of the framebuffer with the same number.</summary>
public sealed record KeyboardDeviceSpec : DeviceSpec
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override string Kind => "vkbd";
}
