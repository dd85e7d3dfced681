namespace Shinano.Hypervisor;

/// <summary>Why a domain stopped. Source: public/sched.h: SHUTDOWN_*.</summary>
public enum ShutdownReason
{
    PowerOff = 0,
    Reboot = 1,
    Suspend = 2,
    Crash = 3,
    Watchdog = 4,
    SoftReset = 5,
}
