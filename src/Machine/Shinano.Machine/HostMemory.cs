using System.Globalization;
using Shinano.Control.Api.Domains;

namespace Shinano.Machine;

/// <summary>What the host can give.</summary>
internal static class HostMemory
{
    /// <summary>Refuses a domain that is larger than the host's memory and swap together.</summary>
    /// <exception cref="DomainFailureException"><see cref="DomainFailureCode.MemoryTooLarge"/>.</exception>
    public static void Check(long bytes)
    {
        long total = 0;
        try
        {
            foreach (string line in File.ReadLines("/proc/meminfo"))
            {
                if (line.StartsWith("MemTotal:", StringComparison.Ordinal) || line.StartsWith("SwapTotal:", StringComparison.Ordinal))
                {
                    string number = line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Replace("kB", "", StringComparison.Ordinal).Trim();
                    total += long.Parse(number, CultureInfo.InvariantCulture) << 10;
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return;
        }

        if (bytes > total)
        {
            throw new DomainFailureException(
                DomainFailureCode.MemoryTooLarge, $"{bytes >> 20} MiB of memory asked for, the host has {total >> 20} MiB with its swap");
        }
    }
}
