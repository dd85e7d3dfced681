namespace Shinano.Hypervisor.Traps;

/// <summary>
/// When a vCPU's thread may execute guest code: blocking, pausing, holding and waking without lost wake-ups. A waiter evaluates its condition under the lock that
/// every waker takes after it has made the condition true.
/// </summary>
public sealed class VcpuScheduling(PvVcpu vcpu)
{
    private readonly object _gate = new();
    private Func<PvVcpu, bool>? _wakeCondition;
    private bool _paused;
    private bool _held;
    private bool _parked = true;
    private RunState _state = RunState.Offline;

    /// <summary>Current state. Any thread.</summary>
    public RunState State
    {
        get
        {
            lock (_gate)
            {
                return _state;
            }
        }
    }

    /// <summary>
    /// Called on every change of <see cref="State"/> with the new one, by the vCPU's thread and before the guest can run again; set before the vCPU's first run.
    /// </summary>
    public Action<PvVcpu, RunState>? StateChanged { get; set; }

    /// <summary>
    /// From a hypercall handler, on the vCPU's thread: when the call has returned, the vCPU executes nothing until an event can be delivered to it.
    /// The caller has unmasked upcalls already (SCHEDOP_block).
    /// </summary>
    public void Block() => BlockUntil(static v => VcpuInfo.IsUpcallDue(v));

    /// <summary>
    /// As <see cref="Block"/>, with another condition (SCHEDOP_poll). It is evaluated under a lock, on the vCPU's thread, at once and after each
    /// <see cref="PvVcpu.Notify"/>: it must be short, must not take locks that callers of Notify hold, and whoever makes it true calls Notify afterwards.
    /// </summary>
    public void BlockUntil(Func<PvVcpu, bool> condition) => _wakeCondition = condition;

    /// <summary>Makes the thread look again at what it waits for. Any thread.</summary>
    internal void Wake()
    {
        lock (_gate)
        {
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Keeps the vCPU from executing; with <see cref="WaitUntilParked"/> the caller knows when it has stopped. Any thread.</summary>
    internal void SetPaused(bool paused)
    {
        lock (_gate)
        {
            _paused = paused;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Keeps the vCPU from executing because its domain has used up its CPU time; as <see cref="SetPaused"/>, and independent of it. Any thread.</summary>
    internal void SetHeld(bool held)
    {
        lock (_gate)
        {
            _held = held;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Waits until the vCPU executes neither guest code nor a hypercall. Not from a vCPU's thread.</summary>
    internal void WaitUntilParked()
    {
        lock (_gate)
        {
            while (!_parked)
            {
                Monitor.Wait(_gate);
            }
        }
    }

    /// <summary>On the vCPU's thread, before each entry to the guest: waits while it may not run.</summary>
    /// <returns>False when the domain has stopped.</returns>
    internal bool WaitUntilRunnable()
    {
        // The usual case needs no lock; a racing request kicks the CPU after it made its change, so the next round sees it.
        if (_wakeCondition is null
            && !Volatile.Read(ref _paused)
            && !Volatile.Read(ref _held)
            && vcpu.Online
            && vcpu.Domain.Shutdown is null
            && _state == RunState.Running)
        {
            return true;
        }

        lock (_gate)
        {
            while (true)
            {
                RunState next;
                if (vcpu.Domain.Shutdown is not null)
                {
                    _parked = true;
                    Monitor.PulseAll(_gate);
                    Change(RunState.Offline);
                    return false;
                }

                if (!vcpu.Online)
                {
                    next = RunState.Offline;
                }
                else if (_wakeCondition is { } condition && !condition(vcpu) && !vcpu.Traps.NmiPending)
                {
                    next = RunState.Blocked;
                }
                else
                {
                    _wakeCondition = null;
                    next = _paused || _held ? RunState.Runnable : RunState.Running;
                }

                if (next == RunState.Running)
                {
                    _parked = false;
                    Change(next);
                    return true;
                }

                Change(next);
                if (!_parked)
                {
                    _parked = true;
                    Monitor.PulseAll(_gate);
                }

                Monitor.Wait(_gate);
            }
        }
    }

    private void Change(RunState next)
    {
        if (_state != next)
        {
            _state = next;
            StateChanged?.Invoke(vcpu, next);
        }
    }
}
