namespace Shinano.Storage.Pools;

/// <summary>A volume: its head layer, which is written, and its snapshots, from the oldest to the newest.</summary>
internal sealed record VolumeRecord
{
    public required Guid Guid { get; init; }

    public required DateTimeOffset Created { get; init; }

    /// <summary>Bytes.</summary>
    public required long Size { get; set; }

    /// <summary>The head.</summary>
    public required long Layer { get; set; }

    /// <summary>The snapshot that it is a clone of.</summary>
    public Guid? Origin { get; set; }

    public bool IsReadOnly { get; set; }

    public string Compression { get; set; } = "off";

    public List<SnapshotRecord> Snapshots { get; init; } = [];
}
