using System.Globalization;
using System.Text;
using Shinano.Storage.Pools;

namespace Shinano.Cli.Xvol;

/// <summary>Tables and properties of volumes as zfs(8) prints them.</summary>
internal static class VolumeText
{
    /// <summary>All properties there are, in the order of "get all".</summary>
    public static IReadOnlyList<string> Properties { get; } =
        ["type", "creation", "used", "available", "referenced", "volsize", "origin", "readonly", "compression", "quota", "guid", "layers", "flatten", "inuse"];

    /// <summary>A property's value; "-" where it does not apply.</summary>
    /// <param name="exact">Numbers in full, times in seconds.</param>
    public static string Value(VolumeInfo info, string property, bool exact)
    {
        string Size(long? bytes) => bytes is not { } b ? "-" : exact ? b.ToString(CultureInfo.InvariantCulture) : ByteSize.Format(b);
        return property switch
        {
            "name" => info.Name,
            "type" => info.Type,
            "creation" when info.Created is { } created => exact
                ? created.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture)
                : created.ToLocalTime().ToString("ddd MMM d HH:mm yyyy", CultureInfo.InvariantCulture),
            "used" => Size(info.Used),
            "available" or "avail" => Size(info.Available),
            "referenced" or "refer" => Size(info.Type == "pool" ? null : info.Referenced),
            "volsize" => Size(info.VolumeSize),
            "origin" => info.Origin ?? "-",
            "readonly" when info.Type != "pool" => info.IsReadOnly ? "on" : "off",
            "compression" => info.Compression ?? "-",
            "quota" when info.Type == "pool" => info.Quota is null ? "none" : Size(info.Quota),
            "guid" => info.Guid.ToString(),
            "layers" => info.Layers?.ToString(CultureInfo.InvariantCulture) ?? "-",
            "flatten" when info.Flatten is { } progress => exact
                ? progress.Done.ToString(CultureInfo.InvariantCulture)
                : string.Create(CultureInfo.InvariantCulture, $"{progress.Percent:F0}%"),
            "inuse" => info.InUseBy ?? "-",
            _ => "-",
        };
    }

    public static string Heading(string column) => column switch
    {
        "available" => "AVAIL",
        "referenced" => "REFER",
        _ => column.ToUpperInvariant(),
    };

    /// <summary>A table; without headings its fields are separated by tabs, for programs.</summary>
    public static string Table(IReadOnlyList<string> headings, IReadOnlyList<string[]> rows, Func<int, bool> isNumber, bool bare)
    {
        StringBuilder text = new();
        int[] widths = [.. headings.Select((heading, i) => rows.Select(row => row[i].Length).Append(heading.Length).Max())];
        foreach (string[] row in bare ? rows : [[.. headings], .. rows])
        {
            IEnumerable<string> cells = bare ? row : row.Select((cell, i) => isNumber(i) ? cell.PadLeft(widths[i]) : cell.PadRight(widths[i]));
            text.Append(string.Join(bare ? "\t" : "  ", cells).TrimEnd(' ')).Append('\n');
        }

        return text.ToString();
    }
}
