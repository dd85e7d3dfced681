using Shinano.Control.Daemon.Scheduling;

namespace Shinano.Control.Tests.Scheduling;

/// <summary>A domain of <see cref="HostModel"/>, with a budget of CPU time like the domain process's.</summary>
internal sealed class ModelDomain(int id, int weight, IReadOnlyList<ModelVcpu> vcpus, IReadOnlyList<int> cpus)
{
    private double _balance;
    private double? _limit;
    private bool _held;
    private long _run;
    private long _wait;

    public IReadOnlyList<ModelVcpu> Vcpus => vcpus;

    public IReadOnlyList<int> Cpus => cpus;

    /// <summary>Milliseconds on a CPU.</summary>
    public long Run => vcpus.Sum(vcpu => vcpu.Run);

    public double? Limit
    {
        get => _limit;
        set
        {
            _limit = value;
            _held &= value is not null;
        }
    }

    public bool MayRun => !_held;

    /// <summary>A millisecond has gone by, in which it used so many.</summary>
    public void Account(int used)
    {
        if (_limit is not { } limit)
        {
            return;
        }

        _balance = Math.Min(limit * 30, _balance + limit - used);
        _held = _balance <= 0 || (_held && _balance < limit * 10);
    }

    /// <summary>What it did since the last call.</summary>
    public DomainLoad Measure()
    {
        long run = Run;
        long wait = vcpus.Sum(vcpu => vcpu.Wait);
        DomainLoad load = new(id, weight, vcpus.Count, cpus, (run - _run) * 1_000_000, (wait - _wait) * 1_000_000);
        (_run, _wait) = (run, wait);
        return load;
    }
}
