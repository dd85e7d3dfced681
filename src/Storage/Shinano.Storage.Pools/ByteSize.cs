using System.Globalization;

namespace Shinano.Storage.Pools;

/// <summary>Sizes as people write them: <c>8G</c>, <c>512M</c>, <c>1.5T</c>, powers of 1024 (zfs(8)).</summary>
public static class ByteSize
{
    private const string Units = "BKMGTPE";

    /// <summary>Reads a size in bytes.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        ReadOnlySpan<char> span = text.AsSpan().Trim();
        int end = span.Length;
        while (end > 0 && char.IsAsciiLetter(span[end - 1]))
        {
            end--;
        }

        string unit = span[end..].ToString().ToUpperInvariant();
        int power = unit.Length == 0 ? 0 : Units.IndexOf(unit[0], StringComparison.Ordinal);
        bool named = unit.Length <= 1 || unit[1..] is "B" or "IB";
        if (power < 0 || !named || !decimal.TryParse(span[..end], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number))
        {
            return false;
        }

        decimal value = 0;
        try
        {
            value = number * (decimal)Math.Pow(1024, power);
        }
        catch (OverflowException)
        {
            return false;
        }

        if (value > long.MaxValue || value != decimal.Truncate(value))
        {
            return false;
        }

        bytes = (long)value;
        return true;
    }

    /// <summary>A size in three or four digits, as zfs(8) prints it.</summary>
    public static string Format(long bytes)
    {
        int power = 0;
        double value = bytes;
        while (value >= 1024 && power < Units.Length - 1)
        {
            value /= 1024;
            power++;
        }

        string digits = value.ToString(power == 0 || value >= 100 || value == Math.Truncate(value) ? "F0" : value >= 10 ? "F1" : "F2", CultureInfo.InvariantCulture);
        return $"{digits}{Units[power]}";
    }
}
