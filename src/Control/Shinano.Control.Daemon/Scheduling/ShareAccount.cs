namespace Shinano.Control.Daemon.Scheduling;

/// <summary>One domain over the intervals: its load, smoothed, and the limit it has. Rates are host CPUs.</summary>
internal sealed class ShareAccount
{
    /// <summary>With less of its limit used than this, a domain does not want more.</summary>
    private const double UsesItsLimit = 0.85;

    private SmoothedRate _run;
    private SmoothedRate _wait;

    public required int Id { get; init; }

    public double Weight { get; private set; }

    public double Ceiling { get; private set; }

    public IReadOnlyList<int> Cpus { get; private set; } = [];

    /// <summary>On a CPU.</summary>
    public double Run => _run.Value;

    /// <summary>Ready and without one.</summary>
    public double Wait => _wait.Value;

    /// <summary>Most that it may use; null for no limit.</summary>
    public double? Limit { get; set; }

    /// <summary>What <see cref="Limit"/> has beyond the domain's share, since it would stay idle.</summary>
    public double Extra { get; set; }

    /// <summary>What it would use if it were alone, as far as can be told.</summary>
    public double Demand => Limit is { } limit && Run > limit * UsesItsLimit ? Ceiling : Math.Min(Ceiling, Run + Wait);

    public void Take(DomainLoad load, long interval)
    {
        Weight = load.Weight;
        Ceiling = load.Ceiling;
        Cpus = load.Cpus;
        _run = _run.After(load.Run, interval);
        _wait = _wait.After(load.Wait, interval);
    }

    /// <summary>Both may run on some CPU.</summary>
    public bool Meets(ShareAccount other) => Cpus.Count == 0 || other.Cpus.Count == 0 || Cpus.Intersect(other.Cpus).Any();
}
