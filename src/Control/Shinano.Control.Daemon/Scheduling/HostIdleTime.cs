using System.Globalization;

namespace Shinano.Control.Daemon.Scheduling;

/// <summary>How long the host's CPUs were idle. Source: proc(5), /proc/stat.</summary>
internal static class HostIdleTime
{
    /// <summary>Nanoseconds of a tick of /proc/stat (USER_HZ is 100).</summary>
    private const long Tick = 10_000_000;

    /// <summary>Nanoseconds since the host's start by CPU, waits for its disks included.</summary>
    public static IReadOnlyDictionary<int, long> Read() => Parse(File.ReadLines("/proc/stat"));

    /// <summary>Lines "cpuN user nice system idle iowait ...".</summary>
    internal static IReadOnlyDictionary<int, long> Parse(IEnumerable<string> lines)
    {
        Dictionary<int, long> idle = [];
        foreach (string line in lines)
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length > 5
                && words[0].StartsWith("cpu", StringComparison.Ordinal)
                && int.TryParse(words[0].AsSpan(3), NumberStyles.None, CultureInfo.InvariantCulture, out int cpu)
                && long.TryParse(words[4], NumberStyles.None, CultureInfo.InvariantCulture, out long nothing)
                && long.TryParse(words[5], NumberStyles.None, CultureInfo.InvariantCulture, out long disks))
            {
                idle[cpu] = (nothing + disks) * Tick;
            }
        }

        return idle;
    }
}
