using System.Globalization;

namespace Shinano.Fork.Bench;

/// <summary>Memory of a domain process as the host counts it (proc(5): smaps), in MiB.</summary>
/// <param name="Private">Pages that are this process's alone.</param>
/// <param name="PrivateRam">Of those, pages of the guest's RAM.</param>
/// <param name="Ram">Pages of the guest's RAM, shared ones included.</param>
internal sealed record MemoryFigures(double Private, double PrivateRam, double Ram)
{
    /// <exception cref="IOException">The process is gone, or another user's.</exception>
    public static MemoryFigures Of(int process)
    {
        long all = 0;
        long ofRam = 0;
        long ram = 0;
        bool isRam = false;
        foreach (string line in File.ReadLines($"/proc/{process}/smaps"))
        {
            string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (!fields[0].EndsWith(':'))
            {
                isRam = line.Contains("memfd:shinano-ram", StringComparison.Ordinal);
            }
            else if (fields[0] is "Private_Dirty:" or "Private_Clean:")
            {
                long size = long.Parse(fields[1], CultureInfo.InvariantCulture);
                all += size;
                ofRam += isRam ? size : 0;
            }
            else if (fields[0] == "Rss:" && isRam)
            {
                ram += long.Parse(fields[1], CultureInfo.InvariantCulture);
            }
        }

        return new MemoryFigures(all / 1024.0, ofRam / 1024.0, ram / 1024.0);
    }
}
