using System.Globalization;

namespace Shinano.Engines.Bench;

/// <summary>All figures of a run, and what went wrong in it.</summary>
internal sealed class Figures
{
    /// <summary>Rows that are not groups of the guest program.</summary>
    public const string Boot = "boot", XmBoot = "xm create -c", WarmXmBoot = "xm create -c, warm process", Memory = "memory";

    private readonly Dictionary<(string Row, Column Column), List<double>> _values = [];
    private readonly Dictionary<string, (string Sum, Column From)> _checksums = [];
    private readonly List<string> _raw = [];
    private readonly SortedSet<string> _problems = new(StringComparer.Ordinal);

    /// <summary>Errors, each once.</summary>
    public IReadOnlyCollection<string> Problems => _problems;

    /// <summary>Groups that a column's CPU cannot run.</summary>
    public SortedSet<string> Skips { get; } = new(StringComparer.Ordinal);

    /// <summary>"row,column,value" in order of time.</summary>
    public IReadOnlyList<string> Raw => _raw;

    public void AddProblem(string problem)
    {
        _problems.Add(problem);
        Console.Error.WriteLine($"error: {problem}");
    }

    /// <summary>Adds a figure: seconds, or bytes for <see cref="Memory"/>.</summary>
    public void Add(string row, Column column, double value)
    {
        if (!_values.TryGetValue((row, column), out List<double>? list))
        {
            _values.Add((row, column), list = []);
        }

        list.Add(value);
        _raw.Add(string.Create(CultureInfo.InvariantCulture, $"{row},{Guests.NameOf(column)},{value:R}"));
    }

    /// <summary>
    /// Adds a group's time, unless its checksum is not the one that was seen before: then the result is wrong, and how fast it was
    /// does not matter.
    /// </summary>
    /// <param name="measurement">The figure.</param>
    /// <param name="column">Whose it is.</param>
    /// <param name="row">Where it goes when that is not the group's own row.</param>
    public void Add(Measurement measurement, Column column, string? row = null)
    {
        if (measurement.Skipped is { } reason)
        {
            Skips.Add($"{Guests.NameOf(column)} has no {measurement.Group}: {reason}");
            return;
        }

        if (_checksums.TryAdd(measurement.Group, (measurement.Checksum, column)) || _checksums[measurement.Group].Sum == measurement.Checksum)
        {
            Add(row ?? measurement.Group, column, measurement.Nanoseconds / 1e9);
            return;
        }

        (string sum, Column from) = _checksums[measurement.Group];
        AddProblem($"{measurement.Group}: {Guests.NameOf(column)} computed {measurement.Checksum}, {Guests.NameOf(from)} {sum}");
    }

    /// <summary>Median, or null when there is no figure.</summary>
    public double? Median(string row, Column column)
    {
        if (!_values.TryGetValue((row, column), out List<double>? list))
        {
            return null;
        }

        double[] sorted = [.. list.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    /// <summary>How many times <paramref name="column"/> takes what <paramref name="over"/> takes.</summary>
    public double? Ratio(string row, Column column, Column over) => Median(row, column) / Median(row, over);

    /// <summary>Largest over least of a row's figures.</summary>
    public double? Spread(string row, Column column) => _values.TryGetValue((row, column), out List<double>? list) ? list.Max() / list.Min() : null;

    /// <summary>Geometric mean of the ratios of the rows that have both; null when none has.</summary>
    public (double Mean, int Rows)? GeometricMean(IEnumerable<string> rows, Column column, Column over)
    {
        double[] logarithms = [.. rows.Select(row => Ratio(row, column, over)).OfType<double>().Select(ratio => Math.Log(ratio))];
        return logarithms.Length == 0 ? null : (Math.Exp(logarithms.Average()), logarithms.Length);
    }
}
