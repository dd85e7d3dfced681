using System.Text.Json.Serialization;

namespace Shinano.Control.Api.Domains.Devices;

/// <summary>A paravirtual device as xend tells it to a domain process: everything that the process must not take from xenstore, e.g. which file to open.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(DiskDeviceSpec), "vbd")]
[JsonDerivedType(typeof(NetworkDeviceSpec), "vif")]
[JsonDerivedType(typeof(FramebufferDeviceSpec), "vfb")]
[JsonDerivedType(typeof(KeyboardDeviceSpec), "vkbd")]
[JsonDerivedType(typeof(ConsoleDeviceSpec), "console")]
public abstract record DeviceSpec
{
    /// <summary>The device's number, as its directories in xenstore are called, e.g. "51712" for xvda.</summary>
    public required string Id { get; init; }

    /// <summary>Kind of the back end, as its directories in xenstore are called: "vbd", "vif", ...</summary>
    [JsonIgnore]
    public abstract string Kind { get; }
}
