using System.Globalization;

namespace Shinano.Linux;

/// <summary>What the kernel's scheduler says of a thread of any process, since the thread's start.</summary>
/// <param name="Run">Time on a CPU, nanoseconds.</param>
/// <param name="Wait">Time ready to run and not on a CPU, nanoseconds.</param>
/// <remarks>Source: Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat. Any process may read it, also of one that is not dumpable.</remarks>
public readonly record struct ThreadRunTime(long Run, long Wait)
{
    /// <summary>Reads it; null when there is no such thread, or the kernel keeps no such numbers (CONFIG_SCHED_INFO).</summary>
    public static ThreadRunTime? TryRead(int process, int thread)
    {
        try
        {
            return TryParse(File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/task/{thread}/schedstat")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Three numbers: the two, and how often it was put on a CPU.</summary>
    internal static ThreadRunTime? TryParse(string text)
    {
        string[] fields = text.Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
        return fields.Length >= 2
            && long.TryParse(fields[0], NumberStyles.None, CultureInfo.InvariantCulture, out long run)
            && long.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out long wait)
                ? new ThreadRunTime(run, wait)
                : null;
    }
}
