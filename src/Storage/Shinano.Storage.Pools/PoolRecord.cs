namespace Shinano.Storage.Pools;

/// <summary>What <c>pool.json</c> has (docs/formats/pool.md).</summary>
internal sealed record PoolRecord
{
    public const string FormatName = "shinano-pool";
    public const int CurrentVersion = 1;

    public string Format { get; init; } = FormatName;

    public int Version { get; init; } = CurrentVersion;

    /// <summary><c>directory</c> or <c>zfs</c>.</summary>
    public string Type { get; init; } = "directory";

    public Guid Guid { get; init; } = Guid.NewGuid();

    /// <summary>Of type zfs: the dataset that stands for the pool.</summary>
    public string? Dataset { get; init; }

    /// <summary>Counts up: numbers of layers are not used again.</summary>
    public long NextLayer { get; set; } = 1;

    /// <summary>Bytes that the sizes of all volumes may add up to; null for any.</summary>
    public long? Quota { get; set; }

    /// <summary>For new volumes.</summary>
    public string Compression { get; set; } = "off";

    public SortedDictionary<string, VolumeRecord> Volumes { get; init; } = new(StringComparer.Ordinal);

    public SortedDictionary<long, LayerRecord> Layers { get; init; } = [];
}
