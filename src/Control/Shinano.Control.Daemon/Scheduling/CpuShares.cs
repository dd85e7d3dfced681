using Shinano.Control.Daemon.Domains;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Scheduling;

/// <summary>
/// Keeps running domains to their weights: measures each ten times a second and limits those that are ahead while others wait. With fewer than two running
/// domains it does nothing.
/// </summary>
internal sealed class CpuShares(DomainRegistry registry, TimeProvider clock, ILogger<CpuShares> logger) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    private readonly Dictionary<int, WatchedDomain> _domains = [];
    private readonly ShareController _controller = new();
    private readonly IReadOnlyList<int> _cpus = ThreadAffinity.OfCurrentThread();
    private IReadOnlyDictionary<int, long> _idle = new Dictionary<int, long>();
    private long _last;
    private bool _wasBusy;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(Interval, clock);
        _last = clock.GetTimestamp();
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                Round(stoppingToken);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                logger.LogError(e, "the domains' shares of the CPUs were not looked at");
            }
        }
    }

    private void Round(CancellationToken cancellationToken)
    {
        Follow();
        if (_domains.Count < 2 && !_wasBusy)
        {
            return;
        }

        _wasBusy = _domains.Count >= 2;
        long timestamp = clock.GetTimestamp();
        long interval = Math.Max(1, (long)clock.GetElapsedTime(_last, timestamp).TotalNanoseconds);
        _last = timestamp;
        long now = (long)clock.GetElapsedTime(0, timestamp).TotalMilliseconds;
        List<DomainLoad> loads = [];
        foreach (WatchedDomain domain in _domains.Values)
        {
            if (_domains.Count < 2)
            {
                domain.Forget();
            }
            else if (domain.Measure(now, cancellationToken) is { } load)
            {
                loads.Add(load);
            }
        }

        IReadOnlyDictionary<int, double?> limits = _controller.Step(loads, IdleSinceLast(interval), interval);
        foreach ((int id, WatchedDomain domain) in _domains)
        {
            domain.Limit(limits.GetValueOrDefault(id), now, cancellationToken);
        }
    }

    /// <summary>Of the CPUs that domains may use. Iowait may go back, and a CPU that comes has no past.</summary>
    private Dictionary<int, long> IdleSinceLast(long interval)
    {
        IReadOnlyDictionary<int, long> before = _idle;
        _idle = HostIdleTime.Read();
        return _cpus.ToDictionary(cpu => cpu, cpu => Math.Clamp(_idle.GetValueOrDefault(cpu) - before.GetValueOrDefault(cpu), 0, interval));
    }

    /// <summary>Takes up domains that have begun to run, and forgets those that have ended.</summary>
    private void Follow()
    {
        IReadOnlyList<DomainEntry> running = [.. registry.All.Where(entry => entry is { Ended: false, Connection: not null, Record.Phase: DomainPhase.Live })];
        foreach (int gone in _domains.Keys.Except(running.Select(entry => entry.Id)).ToArray())
        {
            _domains.Remove(gone);
        }

        foreach (DomainEntry entry in running)
        {
            _domains.TryAdd(entry.Id, new WatchedDomain(entry));
        }
    }
}
