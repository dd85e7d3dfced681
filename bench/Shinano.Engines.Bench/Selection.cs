namespace Shinano.Engines.Bench;

/// <summary>Lists of names in options.</summary>
internal static class Selection
{
    /// <summary>The groups in the table's order; all for null.</summary>
    /// <exception cref="BenchFailureException">A name is unknown.</exception>
    public static IReadOnlyList<string> Groups(string? text)
    {
        if (text is null)
        {
            return Workload.AllGroups;
        }

        string[] names = [.. Split(text).SelectMany(name => name switch
        {
            "user" => Workload.UserGroups,
            "kernel" => Workload.KernelGroups,
            _ => Workload.AllGroups.Contains(name)
                ? [name]
                : throw new BenchFailureException($"--only {name}: no such group; there are {string.Join(' ', Workload.AllGroups)}, user, kernel"),
        })];
        return [.. Workload.AllGroups.Intersect(names)];
    }

    /// <summary>The columns in the table's order; all for null.</summary>
    /// <exception cref="BenchFailureException">A name is unknown.</exception>
    public static IReadOnlyList<Column> Columns(string? text) => text is null
        ? Enum.GetValues<Column>()
        : [.. Split(text).Select(name => Enum.TryParse(name, ignoreCase: true, out Column column) && Enum.IsDefined(column)
            ? column
            : throw new BenchFailureException($"--columns {name}: no such column; there are native tcg interpreter translator")).Distinct().Order()];

    private static string[] Split(string text) => text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}
