using System.Diagnostics;
using Shinano.Hypervisor.Traps;

namespace Shinano.Hypervisor.Scheduling;

/// <summary>
/// Keeps a domain's vCPUs to its <see cref="CpuLimits"/>: a thread of its own reads what the vCPUs' threads have used and holds them at their next exit when
/// nothing is left. It sleeps while there is no limit. Members may be called from any thread.
/// </summary>
public sealed class CpuLimiter : IDisposable
{
    private const long Millisecond = 1_000_000;

    private readonly DomainRunner _runner;
    private readonly CpuLimits _limits = new();
    private readonly object _gate = new();
    private Thread? _thread;
    private bool _stopped;
    private long _used;

    public CpuLimiter(DomainRunner runner) => _runner = runner;

    /// <summary>Most CPU time over all vCPUs, in percent of one host CPU; 0 is no limit.</summary>
    public int CapPercent
    {
        get
        {
            lock (_gate)
            {
                return (int)((_limits.Cap ?? 0) / (CpuBudget.OneCpu / 100));
            }
        }

        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            Change(now => _limits.SetCap(value == 0 ? null : value * (CpuBudget.OneCpu / 100), now));
        }
    }

    /// <summary>Lets the vCPUs use no more than this for a while.</summary>
    /// <param name="rate">Millionths of a CPU; null takes the allowance away.</param>
    /// <param name="validity">When it ends by itself.</param>
    public void SetAllowance(long? rate, TimeSpan validity) => Change(now => _limits.SetAllowance(rate, now, (long)validity.TotalNanoseconds));

    /// <summary>Ends the thread and lets the vCPUs go.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _stopped = true;
            Monitor.PulseAll(_gate);
        }

        _thread?.Join();
        _runner.Hold(held: false);
    }

    private static long Now => (long)Stopwatch.GetElapsedTime(0).TotalNanoseconds;

    private void Change(Action<long> change)
    {
        lock (_gate)
        {
            if (_stopped)
            {
                return;
            }

            // What was used so far is accounted at the rates of so far.
            Look();
            change(Now);
            if (_thread is null && !_limits.IsEmpty)
            {
                _thread = new Thread(Watch) { IsBackground = true, Name = "cpu limits" };
                _thread.Start();
            }

            Monitor.PulseAll(_gate);
        }
    }

    private void Watch()
    {
        lock (_gate)
        {
            while (!_stopped)
            {
                long next = Look();
                if (next == long.MaxValue)
                {
                    Monitor.Wait(_gate);
                }
                else
                {
                    Monitor.Wait(_gate, (int)((next + Millisecond - 1) / Millisecond));
                }
            }
        }
    }

    private long Look()
    {
        long total = _runner.Vcpus.Sum(vcpu => vcpu.CpuTimeNanoseconds);
        long used = Math.Max(0, total - _used);
        _used = total;
        long next = _limits.Advance(Now, used, _runner.Vcpus.Count);
        _runner.Hold(_limits.Hold);
        return next;
    }
}
