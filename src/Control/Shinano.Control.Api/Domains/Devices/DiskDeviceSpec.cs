using System.Text.Json.Serialization;

namespace Shinano.Control.Api.Domains.Devices;

/// <summary>A virtual block device.</summary>
public sealed record DiskDeviceSpec : DeviceSpec
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override string Kind => "vbd";

    /// <summary>The guest's name for it, e.g. "xvda".</summary>
    public required string VirtualDevice { get; init; }

    /// <summary>File or block device, absolute; null for a drive without a medium.</summary>
    public string? Path { get; init; }

    /// <summary>
    /// POOL/VOLUME, or POOL/VOLUME@SNAPSHOT, when the disk is one of a pool: the domain process looks up its place itself, as a snapshot gives a volume another one;
    /// <see cref="Path"/> and <see cref="Format"/> are what they were when this was written.
    /// </summary>
    public string? Volume { get; init; }

    /// <summary>Format of what is there; never guessed.</summary>
    public DiskImageFormat Format { get; init; }

    public bool ReadOnly { get; init; }

    public bool IsCdrom { get; init; }

    /// <summary>The guest may give back blocks that it does not use any more.</summary>
    public bool Discard { get; init; } = true;
}
