namespace Shinano.Control.Daemon.Scheduling;

/// <summary>A rate over the latest intervals, the older ones counting for less.</summary>
/// <param name="Value">Nanoseconds a nanosecond: host CPUs.</param>
internal readonly record struct SmoothedRate(double Value)
{
    /// <summary>Nanoseconds in which a change is seen to two thirds.</summary>
    private const double Memory = 300e6;

    /// <summary>With one interval more.</summary>
    /// <param name="time">Nanoseconds, over all CPUs or threads.</param>
    /// <param name="interval">Its length, nanoseconds.</param>
    public SmoothedRate After(long time, long interval) => new(Value + ((1 - Math.Exp(-interval / Memory)) * (((double)time / interval) - Value)));
}
