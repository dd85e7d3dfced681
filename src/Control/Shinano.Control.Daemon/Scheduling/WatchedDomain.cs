using Shinano.Control.Api.Domains;
using Shinano.Control.Configuration;
using Shinano.Control.Daemon.Domains;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Scheduling;

/// <summary>A running domain as <see cref="CpuShares"/> measures and limits it. Belongs to its loop; calls to the domain process go on beside it.</summary>
internal sealed class WatchedDomain(DomainEntry entry)
{
    /// <summary>Longer than a few rounds: a domain process whose xend has ended is free again after it.</summary>
    private const int AllowanceMilliseconds = 3000;

    private const long RenewalMilliseconds = 1000;

    /// <summary>A change smaller than this part is not worth a message.</summary>
    private const double Worthwhile = 0.02;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private IReadOnlyList<int> _threads = [];
    private ThreadRunTime? _before;
    private Task _call = Task.CompletedTask;
    private double? _sent;
    private long _sentAt;

    public DomainEntry Entry => entry;

    /// <summary>What its vCPUs' threads did since the last call; null for the first, and while the threads are not known.</summary>
    public DomainLoad? Measure(long now, CancellationToken cancellationToken)
    {
        if (_threads.Count == 0)
        {
            if (_call.IsCompleted && now - _sentAt >= RenewalMilliseconds)
            {
                _sentAt = now;
                _call = FindThreadsAsync(cancellationToken);
            }

            return null;
        }

        ThreadRunTime sum = default;
        int process = entry.Record.Process?.Id ?? 0;
        foreach (int thread in _threads)
        {
            if (ThreadRunTime.TryRead(process, thread) is not { } time)
            {
                Forget();
                return null;
            }

            sum = new ThreadRunTime(sum.Run + time.Run, sum.Wait + time.Wait);
        }

        ThreadRunTime? before = _before;
        _before = sum;
        return before is { } then ? LoadOf(sum.Run - then.Run, sum.Wait - then.Wait) : null;
    }

    /// <summary>What was measured so far does not count: the next call is a first one.</summary>
    public void Forget() => _before = null;

    /// <summary>Tells the domain process of its limit, when it has to be told.</summary>
    /// <param name="limit">Host CPUs; null for none.</param>
    /// <param name="now">Milliseconds.</param>
    /// <param name="cancellationToken">Ends the call.</param>
    public void Limit(double? limit, long now, CancellationToken cancellationToken)
    {
        bool differs = limit is null != _sent is null || (limit is { } wanted && Math.Abs(wanted - _sent!.Value) > _sent.Value * Worthwhile);
        if (_call.IsCompleted && (differs || (limit is not null && now - _sentAt >= RenewalMilliseconds)))
        {
            _sent = limit;
            _sentAt = now;
            _call = CallAsync(
                (process, token) => process.SetCpuAllowanceAsync(limit is { } cpus ? (long)(cpus * 1e6) : null, AllowanceMilliseconds, token), cancellationToken);
        }
    }

    private DomainLoad LoadOf(long run, long wait)
    {
        DomainConfiguration configuration = entry.Record.Configuration;
        int vcpus = entry.Record.Spec.MaxVcpus;
        double ceiling = configuration.CpuCapPercent == 0 ? vcpus : Math.Min(vcpus, configuration.CpuCapPercent / 100.0);
        IReadOnlyList<IReadOnlyList<int>> affinity = configuration.VcpuAffinity;
        int[] cpus = affinity.Count < vcpus || affinity.Any(list => list.Count == 0) ? [] : [.. affinity.SelectMany(list => list).Distinct()];
        return new DomainLoad(entry.Id, configuration.CpuWeight, ceiling, cpus, run, wait);
    }

    private async Task FindThreadsAsync(CancellationToken cancellationToken)
    {
        (DomainStatus? status, bool responding) = await entry.GetStatusAsync(cancellationToken);
        int[] threads = responding && status is not null ? [.. status.Vcpus.Select(vcpu => vcpu.ThreadId)] : [];

        // Together at the first unpause, and the same until the domain's end.
        if (!threads.Contains(0))
        {
            _threads = threads;
        }
    }

    private async Task CallAsync(Func<IDomainProcess, CancellationToken, Task> call, CancellationToken cancellationToken)
    {
        try
        {
            if (entry.Connection is { } connection)
            {
                await connection.CallAsync(call, Patience, cancellationToken);
            }
        }
        catch (Exception e) when (e is DomainFailureException or OperationCanceledException)
        {
            // It is going, it is stopped, or it is older than this call: the next round tries again.
        }
    }
}
