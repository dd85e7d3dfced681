using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>timerfd_create(2) and its kin.</summary>
internal static unsafe partial class NativeTimerCalls
{
    public const int ClockMonotonic = 1;
    public const int CloseOnExec = 0x80000;
    public const int EIntr = 4;

    [LibraryImport("libc", EntryPoint = "timerfd_create", SetLastError = true)]
    public static partial int TimerFdCreate(int clock, int flags);

    [LibraryImport("libc", EntryPoint = "timerfd_settime", SetLastError = true)]
    public static partial int TimerFdSetTime(int fd, int flags, TimerSpecification* value, TimerSpecification* old);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(int fd, void* buffer, nuint count);

    /// <summary>struct itimerspec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct TimerSpecification
    {
        public long IntervalSeconds;
        public long IntervalNanoseconds;
        public long Seconds;
        public long Nanoseconds;
    }
}
