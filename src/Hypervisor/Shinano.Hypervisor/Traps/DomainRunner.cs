using System.Diagnostics;

namespace Shinano.Hypervisor.Traps;

/// <summary>
/// Runs a domain's vCPUs: a thread each. A new runner is paused; the control side unpauses it, pauses it and waits for its end. Members may be called from any
/// thread but the vCPUs' own.
/// </summary>
public sealed class DomainRunner : IDisposable
{
    private readonly Domain _domain;
    private readonly VcpuRunner[] _runners;
    private readonly Lock _lock = new();
    private long _startedAt;
    private bool _paused = true;
    private bool _held;

    /// <summary>Takes the domain's vCPUs, all of which exist.</summary>
    public DomainRunner(Domain domain, CpuidPolicy cpuid)
    {
        _domain = domain;
        foreach (PvVcpu vcpu in domain.Vcpus)
        {
            vcpu.Scheduling.SetPaused(true);
        }

        _runners = [.. domain.Vcpus.Select(v => new VcpuRunner(v, cpuid))];
    }

    /// <summary>Per vCPU, in order.</summary>
    public IReadOnlyList<VcpuRunner> Vcpus => _runners;

    /// <summary>Whether the control side holds the domain.</summary>
    public bool IsPaused
    {
        get
        {
            lock (_lock)
            {
                return _paused;
            }
        }
    }

    /// <summary>Since the first unpause; zero before it.</summary>
    public TimeSpan Uptime
    {
        get
        {
            lock (_lock)
            {
                return _startedAt == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(_startedAt);
            }
        }
    }

    /// <summary>Lets the vCPUs run; the first call starts their threads.</summary>
    public void Unpause()
    {
        lock (_lock)
        {
            _paused = false;
            if (_startedAt == 0)
            {
                _startedAt = Stopwatch.GetTimestamp();
                foreach (VcpuRunner runner in _runners)
                {
                    runner.Start();
                }
            }

            foreach (PvVcpu vcpu in _domain.Vcpus)
            {
                vcpu.Scheduling.SetPaused(false);
            }
        }
    }

    /// <summary>Returns when no vCPU executes any more. Pausing a paused domain is no error and does not nest.</summary>
    public void Pause()
    {
        lock (_lock)
        {
            _paused = true;
            foreach (PvVcpu vcpu in _domain.Vcpus)
            {
                vcpu.Scheduling.SetPaused(true);
                vcpu.Notify();
            }

            foreach (PvVcpu vcpu in _domain.Vcpus)
            {
                vcpu.Scheduling.WaitUntilParked();
            }
        }
    }

    /// <summary>Holds the vCPUs at their next exit, or lets them go on; does not wait for it. Beside pausing, which it leaves as it is.</summary>
    internal void Hold(bool held)
    {
        lock (_lock)
        {
            if (held == _held)
            {
                return;
            }

            _held = held;
            foreach (PvVcpu vcpu in _domain.Vcpus)
            {
                vcpu.Scheduling.SetHeld(held);
                if (held)
                {
                    vcpu.Notify();
                }
            }
        }
    }

    /// <summary>Stops the domain as a destroy does, if it has not stopped, and waits for the threads.</summary>
    public void Stop()
    {
        _domain.RequestShutdown(ShutdownReason.PowerOff);
        Join();
    }

    /// <summary>Waits until every vCPU's thread has ended: after the domain's shutdown.</summary>
    public void Join()
    {
        lock (_lock)
        {
            if (_startedAt == 0)
            {
                return;
            }
        }

        foreach (VcpuRunner runner in _runners)
        {
            runner.Join(Timeout.InfiniteTimeSpan);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Stop();
}
