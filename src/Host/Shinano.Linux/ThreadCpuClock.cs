using System.Globalization;
using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>The CPU-time clock of one thread of this process, readable from any other (clock_getcpuclockid(3), CPUCLOCK_PERTHREAD).</summary>
public sealed partial class ThreadCpuClock
{
    private readonly int _thread;
    private readonly int _clock;

    private ThreadCpuClock(int thread)
    {
        _thread = thread;

        // include/linux/posix-timers.h: ~tid in the upper bits, CPUCLOCK_PERTHREAD (4), CPUCLOCK_SCHED (2).
        _clock = (~thread << 3) | 6;
    }

    /// <summary>The kernel's number of the thread (gettid(2)).</summary>
    public int ThreadId => _thread;

    /// <summary>The calling thread's clock.</summary>
    public static ThreadCpuClock OfCurrentThread() => new(GetThreadId());

    /// <summary>Nanoseconds of CPU time; 0 once the thread is gone.</summary>
    public long ReadNanoseconds() => ClockGetTime(_clock, out TimeSpec time) == 0 ? (time.Seconds * 1_000_000_000) + time.Nanoseconds : 0;

    /// <summary>Host CPU the thread last ran on (proc(5): stat, field 39); -1 when that is not known.</summary>
    public int LastHostCpu()
    {
        try
        {
            string stat = File.ReadAllText($"/proc/self/task/{_thread}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields.Length > 36 && int.TryParse(fields[36], CultureInfo.InvariantCulture, out int cpu) ? cpu : -1;
        }
        catch (IOException)
        {
            return -1;
        }
    }

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int ClockGetTime(int clock, out TimeSpec time);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
