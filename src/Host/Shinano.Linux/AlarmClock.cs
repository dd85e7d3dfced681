using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>One alarm on CLOCK_MONOTONIC with nanosecond resolution, and a thread that calls back when it goes off (timerfd_create(2)).</summary>
public sealed unsafe partial class AlarmClock : IDisposable
{
    private const int ClockMonotonic = 1;
    private const int CloseOnExec = 0x80000;
    private const int Interrupted = 4;

    private readonly int _timer;
    private readonly Action _ring;
    private readonly Thread _thread;
    private volatile bool _stopped;

    /// <param name="name">The thread's name.</param>
    /// <param name="ring">Called on the thread each time the alarm goes off.</param>
    /// <exception cref="Win32Exception">The host has no timer left.</exception>
    public AlarmClock(string name, Action ring)
    {
        _timer = TimerCreate(ClockMonotonic, CloseOnExec);
        if (_timer < 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "timerfd_create");
        }

        _ring = ring;
        _thread = new Thread(Loop, 256 << 10) { IsBackground = true, Name = name };
        _thread.Start();
    }

    /// <summary>Sets the alarm, replacing what was set before. Any thread; does not block.</summary>
    /// <param name="nanoseconds">From now; negative for no alarm.</param>
    public void Set(long nanoseconds)
    {
        // A value of zero would disarm (timerfd_settime(2)).
        long value = nanoseconds < 0 ? 0 : Math.Max(1, nanoseconds);
        TimerSpec spec = new() { Seconds = value / 1_000_000_000, Nanoseconds = value % 1_000_000_000 };
        _ = TimerSet(_timer, 0, in spec, 0);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopped = true;
        Set(0);
        if (Thread.CurrentThread != _thread)
        {
            _thread.Join();
        }

        _ = Close(_timer);
    }

    private void Loop()
    {
        while (!_stopped)
        {
            ulong expirations;

            // SAFETY: a timer's read gives eight bytes.
            nint result = Read(_timer, &expirations, sizeof(ulong));
            if (result != sizeof(ulong) && Marshal.GetLastPInvokeError() != Interrupted)
            {
                return;
            }

            if (!_stopped)
            {
                _ring();
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "timerfd_create", SetLastError = true)]
    private static partial int TimerCreate(int clock, int flags);

    [LibraryImport("libc", EntryPoint = "timerfd_settime", SetLastError = true)]
    private static partial int TimerSet(int timer, int flags, in TimerSpec value, nint old);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(int file, void* buffer, nint count);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int file);

    /// <summary>struct itimerspec: interval (unused), then value.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct TimerSpec
    {
        public long IntervalSeconds;
        public long IntervalNanoseconds;
        public long Seconds;
        public long Nanoseconds;
    }
}
