namespace Shinano.Control.Api.Xend;

/// <summary>How a domain ended.</summary>
public enum DomainEnd
{
    Poweroff,
    Reboot,
    Suspend,
    Crash,
    Watchdog,
    SoftReset,

    /// <summary>By <c>xm destroy</c>.</summary>
    Destroyed,

    /// <summary>The domain process died without a report; counts as a crash.</summary>
    ProcessDied,
}
