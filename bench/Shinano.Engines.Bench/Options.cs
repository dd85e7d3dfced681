namespace Shinano.Engines.Bench;

/// <summary>What was asked for.</summary>
internal sealed record Options
{
    /// <summary>How often everything is measured; the table shows medians.</summary>
    public required int Rounds { get; init; }

    /// <summary>Per cent of the groups' full work.</summary>
    public required int Percent { get; init; }

    public required IReadOnlyList<string> Groups { get; init; }

    public required IReadOnlyList<Column> Columns { get; init; }

    /// <summary>For a boot and for each group.</summary>
    public required TimeSpan Limit { get; init; }

    /// <summary>Whether `xm create -c` is measured too.</summary>
    public required bool WithXm { get; init; }

    /// <summary>Four vCPUs against two instead of the table.</summary>
    public required bool Throughput { get; init; }

    /// <summary>Where each single figure goes, or null.</summary>
    public required string? RawFile { get; init; }

    /// <summary>Root of the checkout.</summary>
    public required string Repository { get; init; }
}
