using System.Globalization;

namespace Shinano.Engines.Bench;

/// <summary>What a process that runs a guest takes beyond the guest's RAM.</summary>
internal static class ProcessMemory
{
    /// <summary>
    /// Sum of Pss in /proc/PID/smaps (a page that a process maps twice, as generated code is, counts once) without the guest's RAM: mappings of
    /// Shinano's memory file, or one of exactly <paramref name="ram"/> bytes (QEMU's). In bytes; null when the process is gone or the RAM was not found.
    /// </summary>
    public static long? AboveRam(int process, long ram)
    {
        long sum = 0;
        bool inRam = false, found = false;
        try
        {
            foreach (string line in File.ReadLines($"/proc/{process}/smaps"))
            {
                if (line.StartsWith("Pss:", StringComparison.Ordinal))
                {
                    sum += inRam ? 0 : long.Parse(line.AsSpan(4).TrimEnd("kB ").Trim(), CultureInfo.InvariantCulture) << 10;
                }
                else if (char.IsAsciiHexDigitLower(line[0]))
                {
                    inRam = line.Contains("shinano-ram", StringComparison.Ordinal) || LengthOf(line) == ram;
                    found |= inRam;
                }
            }
        }
        catch (IOException)
        {
            return null;
        }

        return found ? sum : null;
    }

    /// <summary>Of "from-to permissions ...", in hexadecimal.</summary>
    private static long LengthOf(string line)
    {
        int dash = line.IndexOf('-', StringComparison.Ordinal), space = line.IndexOf(' ', StringComparison.Ordinal);
        return ParseHex(line.AsSpan(dash + 1, space - dash - 1)) - ParseHex(line.AsSpan(0, dash));
    }

    /// <summary>Unsigned: the vsyscall page is in the upper half.</summary>
    private static long ParseHex(ReadOnlySpan<char> digits) =>
        unchecked((long)ulong.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
}
