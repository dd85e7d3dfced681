using System.Text.Json;
using Shinano.Control.Api;
using Shinano.SavedState;

namespace Shinano.Control.Daemon.Snapshots;

/// <summary>Where a domain stands among its snapshots. See docs/formats/domain-snapshot.md.</summary>
internal sealed record SnapshotPosition
{
    public const uint Version = 1;

    /// <summary>The snapshot that the domain comes from; null before there was one.</summary>
    public string? Current { get; init; }

    /// <summary>The snapshot to which the domain's volumes are being reverted; null at all other times.</summary>
    public string? Reverting { get; init; }

    /// <summary>The number of the domain that ran when the revert began: while it runs, nothing was reverted. Null for one that did not run.</summary>
    public int? EndingId { get; init; }

    public static ReadOnlySpan<byte> Letters => "SHINSNPT"u8;

    public byte[] ToBytes() => SealedRecord.Seal(Letters, Version, JsonSerializer.SerializeToUtf8Bytes(this, ControlJson.Options));

    /// <summary>Reads a record; its content is hostile.</summary>
    /// <exception cref="SavedStateException">It is none that can be read.</exception>
    public static SnapshotPosition Read(ReadOnlySpan<byte> file)
    {
        SnapshotPosition position;
        try
        {
            position = JsonSerializer.Deserialize<SnapshotPosition>(SealedRecord.Open(Letters, Version, file), ControlJson.Options)
                ?? throw StateReader.Senseless("the record says nothing");
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw StateReader.Senseless($"the record cannot be read: {e.Message}");
        }

        StateReader.Demand(
            (position.Current is null || SnapshotName.Check(position.Current) is null) && (position.Reverting is null || SnapshotName.Check(position.Reverting) is null),
            "a snapshot's name is none");
        return position;
    }
}
