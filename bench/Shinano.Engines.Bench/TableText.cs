using System.Globalization;

namespace Shinano.Engines.Bench;

/// <summary>The table, as Markdown that reads well in a terminal too.</summary>
internal static class TableText
{
    public static IEnumerable<string> Write(Figures figures, Options options, IReadOnlyList<Column> columns)
    {
        Column[] guests = [.. columns.Where(column => column != Column.Native)];
        Column[] shinano = [.. columns.Where(column => column is Column.Interpreter or Column.Translator)];
        bool native = columns.Contains(Column.Native), tcg = columns.Contains(Column.Tcg);
        List<string[]> table =
        [
            [
                "group",
                .. columns.Select(column => $"{Guests.NameOf(column)}, ms"),
                .. native ? guests.Select(column => $"{Guests.NameOf(column)} / native") : [],
                .. tcg ? shinano.Select(column => $"TCG / {Guests.NameOf(column)}") : [],
            ],
        ];
        foreach (string row in (string[])[.. options.Groups, Figures.Boot])
        {
            table.Add(
            [
                row,
                .. columns.Select(column => Number(figures.Median(row, column) * 1000, 0)),
                .. native ? guests.Select(column => Number(figures.Ratio(row, column, Column.Native), 2)) : [],
                .. tcg ? shinano.Select(column => Number(figures.Ratio(row, Column.Tcg, column), 2)) : [],
            ]);
        }

        string[] user = [.. options.Groups.Intersect(Workload.UserGroups)];
        foreach ((string name, IReadOnlyList<string> rows) in ((string, IReadOnlyList<string>)[])
            [("geometric mean, user mode", user), ("geometric mean, all", [.. options.Groups, Figures.Boot])])
        {
            table.Add(
            [
                name,
                .. columns.Select(_ => ""),
                .. native ? guests.Select(column => Mean(figures.GeometricMean(rows, column, Column.Native))) : [],
                .. tcg ? shinano.Select(column => Mean(figures.GeometricMean(rows, Column.Tcg, column))) : [],
            ]);
        }

        return Align(table);
    }

    /// <summary>What is not a matter of groups.</summary>
    public static IEnumerable<string> WriteRest(Figures figures, IReadOnlyList<Column> columns)
    {
        Column[] guests = [.. columns.Where(column => column != Column.Native)];
        return Align(
        [
            ["", .. guests.Select(Guests.NameOf)],
            ["boot to user space, s", .. guests.Select(column => Number(figures.Median(Figures.Boot, column), 2))],
            ["xm create -c to user space, s", .. guests.Select(column => Number(figures.Median(Figures.WarmXmBoot, column), 2))],
            ["the same without a warm process, s", .. guests.Select(column => Number(figures.Median(Figures.XmBoot, column), 2))],
            ["memory above guest RAM, MiB", .. guests.Select(column => Number(figures.Median(Figures.Memory, column) / (1 << 20), 0))],
        ]);
    }

    /// <summary>Pads the cells: the first column to the right, numbers to the left.</summary>
    public static IEnumerable<string> Align(IReadOnlyList<string[]> table)
    {
        int[] widths = [.. Enumerable.Range(0, table[0].Length).Select(i => table.Max(row => row[i].Length))];
        for (int line = 0; line < table.Count; line++)
        {
            yield return $"| {string.Join(" | ", table[line].Select((cell, i) => i == 0 ? cell.PadRight(widths[i]) : cell.PadLeft(widths[i])))} |";
            if (line == 0)
            {
                yield return $"| {string.Join(" | ", widths.Select((width, i) => i == 0 ? new string('-', width) : new string('-', width - 1) + ":"))} |";
            }
        }
    }

    public static string Number(double? value, int decimals) => value?.ToString($"F{decimals}", CultureInfo.InvariantCulture) ?? "-";

    private static string Mean((double Mean, int Rows)? mean) =>
        mean is { } some ? string.Create(CultureInfo.InvariantCulture, $"{some.Mean:F2} (of {some.Rows})") : "-";
}
