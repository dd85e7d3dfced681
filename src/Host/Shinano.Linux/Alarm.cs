using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>A timer with the host's full precision that any thread may set while one waits for it (timerfd).</summary>
public sealed unsafe class Alarm : IDisposable
{
    private readonly int _descriptor;
    private bool _disposed;

    /// <exception cref="Win32Exception">The host has no timer left.</exception>
    public Alarm()
    {
        _descriptor = NativeTimerCalls.TimerFdCreate(NativeTimerCalls.ClockMonotonic, NativeTimerCalls.CloseOnExec);
        if (_descriptor < 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "timerfd_create failed");
        }
    }

    /// <summary>Lets <see cref="Wait"/> return after a time; replaces what was set before.</summary>
    /// <param name="nanoseconds">From now; 0 counts as 1. Negative: never.</param>
    public void Set(long nanoseconds)
    {
        NativeTimerCalls.TimerSpecification value = default;
        if (nanoseconds >= 0)
        {
            (value.Seconds, value.Nanoseconds) = Math.DivRem(Math.Max(1, nanoseconds), 1_000_000_000);
        }

        // SAFETY: value is a whole structure on this stack.
        _ = NativeTimerCalls.TimerFdSetTime(_descriptor, 0, &value, null);
    }

    /// <summary>Waits until the time that is set, however often it is changed meanwhile.</summary>
    public void Wait()
    {
        ulong expirations;

        // SAFETY: the kernel writes eight bytes.
        while (NativeTimerCalls.Read(_descriptor, &expirations, sizeof(ulong)) < 0
            && Marshal.GetLastPInvokeError() == NativeTimerCalls.EIntr)
        {
        }
    }

    /// <summary>Not while another thread is in <see cref="Wait"/>: set it to 0 first and let that thread end.</summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _ = NativeMemoryCalls.Close(_descriptor);
        }
    }
}
