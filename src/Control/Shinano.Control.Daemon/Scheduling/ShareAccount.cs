namespace Shinano.Control.Daemon.Scheduling;

/// <summary>One domain over the intervals: its load, smoothed, and the limit it has. Rates are host CPUs.</summary>
internal sealed class ShareAccount
{
    /// <summary>With less of its limit used than this, a domain does not want more.</summary>
    private const double UsesItsLimit = 0.85;

    /// <summary>Nanoseconds after which a domain that went to sleep does not count as ready any more, to two thirds.</summary>
    private const double ReadyMemory = 100e6;

    /// <summary>A domain that runs or waits for this part of what it can is busy.</summary>
    private const double Busy = 0.9;

    private SmoothedRate _run;
    private SmoothedRate _ready;

    public required int Id { get; init; }

    public double Weight { get; private set; }

    public double Ceiling { get; private set; }

    public IReadOnlyList<int> Cpus { get; private set; } = [];

    /// <summary>On a CPU.</summary>
    public double Run => _run.Value;

    /// <summary>On a CPU or waiting for one: smoothed as one, since the parts change places when others are limited.</summary>
    public double Ready => _ready.Value;

    /// <summary>Most that it may use; null for no limit.</summary>
    public double? Limit { get; set; }

    /// <summary>What <see cref="Limit"/> has beyond the domain's share, since it would stay idle.</summary>
    public double Extra { get; set; }

    /// <summary>What it would use if it were alone, as far as can be told.</summary>
    public double Demand => IsBusy || (Limit is { } limit && Run > limit * UsesItsLimit) ? Ceiling : Math.Min(Ceiling, Ready);

    /// <summary>It wants all that it can use.</summary>
    public bool IsBusy => Ready >= Ceiling * Busy;

    public void Take(DomainLoad load, long interval)
    {
        Weight = load.Weight;
        Ceiling = load.Ceiling;
        Cpus = load.Cpus;
        _run = _run.After(load.Run, interval);
        _ready = _ready.After(load.Run + load.Wait, interval, ReadyMemory);
    }

    /// <summary>Both may run on some CPU.</summary>
    public bool Meets(ShareAccount other) => Cpus.Count == 0 || other.Cpus.Count == 0 || Cpus.Intersect(other.Cpus).Any();
}
