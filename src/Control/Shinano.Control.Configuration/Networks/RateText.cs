using System.Globalization;

namespace Shinano.Control.Configuration.Networks;

/// <summary>Rates as xl writes them: "10Mb/s", "250KB/s", "1GB/s@20ms". Source: xl-network-configuration(5): rate.</summary>
public static class RateText
{
    private const long Most = 1L << 40;

    private static readonly (string Unit, double Bytes)[] Units =
    [
        ("GB/s", 1e9), ("MB/s", 1e6), ("KB/s", 1e3), ("B/s", 1), ("Gb/s", 1e9 / 8), ("Mb/s", 1e6 / 8), ("Kb/s", 1e3 / 8), ("b/s", 1.0 / 8),
    ];

    /// <summary>Reads a rate; an interval behind an "@" is read and not used.</summary>
    /// <returns>Bytes in a second; null when it is none.</returns>
    public static long? TryParse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int at = text.IndexOf('@', StringComparison.Ordinal);
        string rate = (at < 0 ? text : text[..at]).Trim();
        if (at >= 0 && !IsInterval(text[(at + 1)..].Trim()))
        {
            return null;
        }

        foreach ((string unit, double bytes) in Units)
        {
            if (rate.EndsWith(unit, StringComparison.Ordinal)
                && double.TryParse(rate[..^unit.Length].Trim(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number))
            {
                double value = number * bytes;
                return value is >= 1 and <= Most ? (long)value : null;
            }
        }

        return null;
    }

    /// <summary>A rate in bits, for people: "10Mb/s".</summary>
    public static string Format(long bytesPerSecond)
    {
        double bits = bytesPerSecond * 8.0;
        (double divisor, string unit) = bits >= 1e9 ? (1e9, "Gb/s") : bits >= 1e6 ? (1e6, "Mb/s") : bits >= 1e3 ? (1e3, "Kb/s") : (1, "b/s");
        return (bits / divisor).ToString("0.###", CultureInfo.InvariantCulture) + unit;
    }

    private static bool IsInterval(string text)
    {
        string number = text.EndsWith("us", StringComparison.Ordinal) || text.EndsWith("ms", StringComparison.Ordinal) ? text[..^2]
            : text.EndsWith('s') ? text[..^1] : "";
        return uint.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out uint value) && value > 0;
    }
}
