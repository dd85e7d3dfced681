using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm;

/// <summary>How a domain ended, in words.</summary>
internal static class OutcomeText
{
    public static string Of(DomainOutcome outcome)
    {
        string end = outcome.End switch
        {
            DomainEnd.Poweroff => "powered off",
            DomainEnd.Reboot => "rebooted",
            DomainEnd.Suspend => "suspended",
            DomainEnd.Crash => "crashed",
            DomainEnd.Watchdog => "its watchdog fired",
            DomainEnd.SoftReset => "soft reset",
            DomainEnd.Destroyed => "destroyed",
            _ => "its domain process died",
        };
        string next = outcome.Successor is { } successor
            ? $"; restarted as id={successor.Id}"
            : outcome.Action is "preserve" or "rename-restart" ? "; kept until xm destroy" : "";
        return end + next + (outcome.Detail is { } detail ? $"; {detail}" : "");
    }
}
