using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Control.Configuration;
using Shinano.SavedState;
using Shinano.Storage.Pools;

namespace Shinano.Control.Daemon.Snapshots;

/// <summary>What xend writes down about a domain's snapshot. See docs/formats/domain-snapshot.md.</summary>
internal sealed record SnapshotDescription
{
    public const uint Version = 1;

    private const int MostVolumes = 256;

    /// <summary>What the memory's file has as well: that of another snapshot is found out.</summary>
    public required Guid Id { get; init; }

    public required string Name { get; init; }

    /// <summary>The domain's name and uuid then.</summary>
    public required string Domain { get; init; }

    public required Guid Uuid { get; init; }

    public required DateTimeOffset Taken { get; init; }

    /// <summary>The snapshot from which the domain came to this one; null for a first one.</summary>
    public string? Parent { get; init; }

    /// <summary>The domain was paused.</summary>
    public bool Paused { get; init; }

    /// <summary>Bytes of the memory's file.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>All that the domain could write to.</summary>
    public required IReadOnlyList<SnapshotVolume> Volumes { get; init; }

    public static ReadOnlySpan<byte> Letters => "SHINSNAP"u8;

    public byte[] ToBytes() => SealedRecord.Seal(Letters, Version, JsonSerializer.SerializeToUtf8Bytes(this, ControlJson.Options));

    /// <summary>Reads a record; its content is hostile.</summary>
    /// <exception cref="SavedStateException">It is none that can be read.</exception>
    public static SnapshotDescription Read(ReadOnlySpan<byte> file)
    {
        SnapshotDescription? description;
        try
        {
            description = JsonSerializer.Deserialize<SnapshotDescription>(SealedRecord.Open(Letters, Version, file), ControlJson.Options);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw StateReader.Senseless($"the record cannot be read: {e.Message}");
        }

        // JSON can leave out, or say null, where C# has no null.
        if (description is not { Name: not null, Domain: not null, Volumes: not null })
        {
            throw StateReader.Senseless("the record lacks something");
        }

        StateReader.Demand(
            SnapshotName.Check(description.Name) is null && DomainName.Check(description.Domain) is null
            && (description.Parent is null || SnapshotName.Check(description.Parent) is null),
            "a name is none");
        StateReader.Demand(
            description.MemoryBytes >= 0 && description.Volumes.Count <= MostVolumes && description.Volumes.All(IsVolume)
            && description.Volumes.Select(volume => volume.Volume).Distinct(StringComparer.Ordinal).Count() == description.Volumes.Count,
            "the volumes are none");
        return description;
    }

    /// <summary>The name of a volume's part.</summary>
    public VolumeName PartOf(SnapshotVolume volume) => VolumeName.ParseSnapshot($"{volume.Volume}@{Name}", "open");

    private static bool IsVolume(SnapshotVolume volume)
    {
        if (volume is not { Device: not null, Volume: not null })
        {
            return false;
        }

        try
        {
            return VolumeName.ParseVolume(volume.Volume, "open") is not null;
        }
        catch (VolumeException)
        {
            return false;
        }
    }
}
