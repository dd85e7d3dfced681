namespace Shinano.Control.Api.Domains;

/// <summary>Why a guest stopped (public/sched.h: SHUTDOWN_*; the values are the ABI's).</summary>
public enum ShutdownReason
{
    Poweroff = 0,
    Reboot = 1,
    Suspend = 2,
    Crash = 3,
    Watchdog = 4,
    SoftReset = 5,
}
