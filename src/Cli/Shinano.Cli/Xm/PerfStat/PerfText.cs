using System.Globalization;
using System.Text;
using Shinano.Control.Api.Domains;

namespace Shinano.Cli.Xm.PerfStat;

/// <summary>A report in columns: a line per counter; numbers without separators, so that awk reads them.</summary>
internal static class PerfText
{
    private const int NameWidth = 30;
    private const int CountWidth = 20;
    private const int RateWidth = 15;

    public static IEnumerable<string> Of(PerfReport report)
    {
        string time = report.SinceStart ? "since its start" : "since the last report";
        yield return string.Create(
            CultureInfo.InvariantCulture,
            $"{report.Domain} (id {report.DomainId}), {report.CpuEngine}, {report.Vcpus.Count} vCPU{(report.Vcpus.Count == 1 ? "" : "s")}, {report.Seconds:F1} s {time}");
        yield return Head("engine");
        foreach (PerfReading reading in report.Engine)
        {
            yield return Row(reading.Name, reading.Kind, reading.Change ?? reading.Value, [reading.PerSecond]);
        }

        // A single vCPU is the sum already.
        IReadOnlyList<PerfVcpu> columns = report.Vcpus.Count > 1 ? report.Vcpus : [];
        yield return Head("vCPUs", [.. columns.Select(vcpu => string.Create(CultureInfo.InvariantCulture, $"vcpu{vcpu.Id}/s"))]);
        foreach (string name in Names(report.Vcpus))
        {
            PerfReading?[] readings = [.. report.Vcpus.Select(vcpu => vcpu.Counters.FirstOrDefault(reading => reading.Name == name))];
            PerformanceCounterKind kind = readings.First(reading => reading is not null)!.Kind;
            double? sum = readings.Any(reading => reading?.PerSecond is not null) ? readings.Sum(reading => reading?.PerSecond ?? 0) : null;
            yield return Row(
                name,
                kind,
                readings.Sum(reading => reading?.Change ?? reading?.Value ?? 0),
                [sum, .. columns.Count > 0 ? readings.Select(reading => reading is null && sum is not null ? 0 : reading?.PerSecond) : []]);
        }
    }

    /// <summary>All names: first what every vCPU has, then exits, then exceptions, of which each vCPU has its own.</summary>
    private static IEnumerable<string> Names(IReadOnlyList<PerfVcpu> vcpus)
    {
        string[] groups = ["exit.", "exception."];
        int Group(string name) => Array.FindIndex(groups, group => name.StartsWith(group, StringComparison.Ordinal));
        return vcpus.SelectMany(vcpu => vcpu.Counters).Select(reading => reading.Name).Distinct().OrderBy(Group);
    }

    private static string Head(string what, params string[] columns)
    {
        StringBuilder line = new($"{what,-NameWidth}{"count",CountWidth}{"/s",RateWidth}");
        foreach (string column in columns)
        {
            line.Append(CultureInfo.InvariantCulture, $"{column,RateWidth}");
        }

        return line.ToString();
    }

    private static string Row(string name, PerformanceCounterKind kind, long count, IEnumerable<double?> rates)
    {
        StringBuilder line = new();
        line.Append(CultureInfo.InvariantCulture, $"{name,-NameWidth}{count,CountWidth}");
        foreach (double? rate in rates)
        {
            string text = kind == PerformanceCounterKind.Level || rate is null ? "-" : rate.Value.ToString("F0", CultureInfo.InvariantCulture);
            line.Append(CultureInfo.InvariantCulture, $"{text,RateWidth}");
        }

        return line.ToString();
    }
}
