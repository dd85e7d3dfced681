using Shinano.Control.Daemon.Scheduling;

namespace Shinano.Control.Tests.Scheduling;

/// <summary>
/// A host whose scheduler gives ready threads equal parts of its CPUs, in steps of a millisecond, and a <see cref="ShareController"/> that looks at its domains ten
/// times a second. Without a clock: the same every time.
/// </summary>
internal sealed class HostModel(int cpus)
{
    private const int Interval = 100;

    /// <summary>A thread that was asleep is this far ahead of the others at most.</summary>
    private const long SleeperCredit = 3;

    private readonly ShareController _controller = new();
    private readonly List<ModelDomain> _domains = [];

    /// <summary>Threads of other programs, which nobody limits or looks at.</summary>
    private readonly List<ModelVcpu> _others = [];

    /// <summary>Milliseconds that each CPU was idle in the interval.</summary>
    private readonly long[] _idle = new long[cpus];
    private int _now;

    public ModelDomain Add(int weight, int vcpus, double duty = 1, params int[] pinned)
    {
        ModelDomain domain = new(_domains.Count + 1, weight, [.. Enumerable.Range(0, vcpus).Select(_ => new ModelVcpu(duty))], pinned);
        _domains.Add(domain);
        return domain;
    }

    public void AddOther() => _others.Add(new ModelVcpu(1));

    /// <summary>Lets time go by and gives what each domain used of it, in CPUs.</summary>
    public double[] Run(int milliseconds)
    {
        long[] before = [.. _domains.Select(domain => domain.Run)];
        for (int i = 0; i < milliseconds; i++)
        {
            Step();
            if (++_now % Interval == 0)
            {
                IReadOnlyDictionary<int, double?> limits = _controller.Step(
                    [.. _domains.Select(domain => domain.Measure())], _idle.Index().ToDictionary(cpu => cpu.Index, cpu => cpu.Item * 1_000_000), Interval * 1_000_000L);
                Array.Clear(_idle);
                foreach ((int index, ModelDomain domain) in _domains.Index())
                {
                    domain.Limit = limits[index + 1];
                }
            }
        }

        return [.. _domains.Select((domain, i) => (domain.Run - before[i]) / (double)milliseconds)];
    }

    private void Step()
    {
        List<(ModelVcpu Thread, IReadOnlyList<int> Cpus)> ready = [];
        foreach (ModelDomain domain in _domains)
        {
            foreach (ModelVcpu vcpu in domain.Vcpus)
            {
                vcpu.Arrive();
                if (vcpu.IsReady && domain.MayRun)
                {
                    ready.Add((vcpu, domain.Cpus));
                }
                else
                {
                    vcpu.WasReady = false;
                }
            }
        }

        foreach (ModelVcpu other in _others)
        {
            other.Arrive();
            ready.Add((other, []));
        }

        long least = ready.Where(one => one.Thread.WasReady).Select(one => one.Thread.VirtualTime).DefaultIfEmpty(0).Min();
        foreach (ModelVcpu awoken in ready.Select(one => one.Thread).Where(thread => !thread.WasReady))
        {
            awoken.VirtualTime = Math.Max(awoken.VirtualTime, least - SleeperCredit);
            awoken.WasReady = true;
        }

        HashSet<int> free = [.. Enumerable.Range(0, cpus)];
        Dictionary<ModelVcpu, bool> ran = [];
        foreach ((ModelVcpu thread, IReadOnlyList<int> allowed) in ready.OrderBy(one => one.Thread.VirtualTime))
        {
            int cpu = free.Where(number => allowed.Count == 0 || allowed.Contains(number)).DefaultIfEmpty(-1).Max();
            ran[thread] = free.Remove(cpu);
            if (ran[thread])
            {
                thread.Execute();
            }
            else
            {
                thread.StandBy();
            }
        }

        foreach (int cpu in free)
        {
            _idle[cpu]++;
        }

        foreach (ModelDomain domain in _domains)
        {
            domain.Account(domain.Vcpus.Count(vcpu => ran.GetValueOrDefault(vcpu)));
        }
    }
}
