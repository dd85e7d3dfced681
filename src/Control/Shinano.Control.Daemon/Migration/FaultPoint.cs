using System.Diagnostics;

namespace Shinano.Control.Daemon.Migration;

/// <summary>Named places at which a test has xend end as if it were killed. Nothing happens without the variable.</summary>
internal static class FaultPoint
{
    /// <summary>Names the place.</summary>
    public const string Variable = "SHINANO_MIGRATION_FAULT";

    private static readonly string? Chosen = Environment.GetEnvironmentVariable(Variable);

    /// <summary>Ends xend if this is the place.</summary>
    public static void Reach(string place)
    {
        if (place == Chosen)
        {
            // SIGKILL: nothing is flushed, no finally block runs.
            Process.GetCurrentProcess().Kill();
            Thread.Sleep(Timeout.Infinite);
        }
    }
}
