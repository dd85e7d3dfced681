namespace Shinano.Control.Daemon.Scheduling;

/// <summary>A rate over the latest intervals, the older ones counting for less.</summary>
/// <param name="Value">Nanoseconds a nanosecond: host CPUs.</param>
internal readonly record struct SmoothedRate(double Value)
{
    /// <summary>Nanoseconds in which a change is seen to two thirds, unless the caller says otherwise.</summary>
    public const double Memory = 300e6;

    /// <summary>With one interval more.</summary>
    /// <param name="time">Nanoseconds, over all CPUs or threads.</param>
    /// <param name="interval">Its length, nanoseconds.</param>
    /// <param name="fall">As <see cref="Memory"/>, for a rate that falls.</param>
    public SmoothedRate After(long time, long interval, double fall = Memory)
    {
        double rate = (double)time / interval;
        return new(Value + ((1 - Math.Exp(-interval / (rate < Value ? fall : Memory))) * (rate - Value)));
    }
}
