using System.Globalization;

namespace Shinano.Control.Configuration.Scheduling;

/// <summary>Lists of host CPUs as xl writes them: "0", "0-3,5,^1", "all". Source: xl.cfg(5): cpus.</summary>
public static class CpuList
{
    /// <summary>Numbers end before this.</summary>
    public const int Limit = 1024;

    /// <summary>What a list is, for messages.</summary>
    public const string Form = "a list of CPUs: numbers, ranges like 0-3, ^N to leave one out, or all";

    /// <summary>Reads a list; parts count in their order.</summary>
    /// <returns>The numbers in ascending order, none for all; null when it is no list, or one of no CPUs.</returns>
    public static IReadOnlyList<int>? TryParse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Trim() == "all")
        {
            return [];
        }

        SortedSet<int> cpus = [];
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            bool leaveOut = part.StartsWith('^');
            string[] ends = (leaveOut ? part[1..] : part).Split('-', 2);
            if (Number(ends[0]) is not { } first || Number(ends[^1]) is not { } last || last < first)
            {
                return null;
            }

            IEnumerable<int> range = Enumerable.Range(first, last - first + 1);
            if (leaveOut)
            {
                cpus.ExceptWith(range);
            }
            else
            {
                cpus.UnionWith(range);
            }
        }

        return cpus.Count > 0 ? [.. cpus] : null;
    }

    /// <summary>A list for people, ascending numbers with ranges: "0-3,5"; "all" for none.</summary>
    public static string Format(IReadOnlyList<int> cpus)
    {
        ArgumentNullException.ThrowIfNull(cpus);
        List<string> parts = [];
        for (int i = 0, end; i < cpus.Count; i = end)
        {
            end = i + 1;
            while (end < cpus.Count && cpus[end] == cpus[end - 1] + 1)
            {
                end++;
            }

            parts.Add(end == i + 1
                ? cpus[i].ToString(CultureInfo.InvariantCulture)
                : string.Create(CultureInfo.InvariantCulture, $"{cpus[i]}-{cpus[end - 1]}"));
        }

        return parts.Count == 0 ? "all" : string.Join(',', parts);
    }

    private static int? Number(string text) =>
        int.TryParse(text.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number < Limit ? number : null;
}
