using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm;

/// <summary>Exit codes of xm. Those from 20 on say how a domain ended whose console xm was attached to (create -c, start -c, quickstart).</summary>
internal static class ExitCodes
{
    public const int Success = 0;
    public const int Failure = 1;
    public const int Usage = 2;

    /// <summary>128 + SIGINT, as shells have it.</summary>
    public const int Interrupted = 130;

    public const int Rebooted = 20;
    public const int Suspended = 21;
    public const int Crashed = 22;
    public const int Watchdog = 23;
    public const int Destroyed = 24;
    public const int ProcessDied = 25;
    public const int SoftReset = 26;

    public static int Of(DomainEnd end) => end switch
    {
        DomainEnd.Poweroff => Success,
        DomainEnd.Reboot => Rebooted,
        DomainEnd.Suspend => Suspended,
        DomainEnd.Crash => Crashed,
        DomainEnd.Watchdog => Watchdog,
        DomainEnd.Destroyed => Destroyed,
        DomainEnd.ProcessDied => ProcessDied,
        DomainEnd.SoftReset => SoftReset,
        _ => Failure,
    };
}
