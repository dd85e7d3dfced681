using System.Globalization;

namespace Shinano.Engines.Bench;

/// <summary>A line of the guest program.</summary>
/// <param name="Group">As asked for.</param>
/// <param name="Nanoseconds">By the guest's CLOCK_MONOTONIC.</param>
/// <param name="Checksum">Over what was computed.</param>
/// <param name="Skipped">Why there are no figures, when this CPU cannot run the group.</param>
internal sealed record Measurement(string Group, long Nanoseconds, string Checksum, string? Skipped = null)
{
    /// <summary>Reads "BENCH group nanoseconds checksum" or "BENCH-SKIPPED group reason"; null for any other line.</summary>
    public static Measurement? TryParse(string line)
    {
        if (line.Split(' ', 3) is ["BENCH-SKIPPED", var skipped, var reason])
        {
            return new Measurement(skipped, 0, "", reason);
        }

        return line.Split(' ') is ["BENCH", var group, var time, var sum]
            && long.TryParse(time, NumberStyles.None, CultureInfo.InvariantCulture, out long nanoseconds)
                ? new Measurement(group, nanoseconds, sum)
                : null;
    }
}
