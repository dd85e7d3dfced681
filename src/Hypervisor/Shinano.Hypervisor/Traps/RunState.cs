namespace Shinano.Hypervisor.Traps;

/// <summary>What a vCPU is doing. Source: public/vcpu.h: RUNSTATE_*; the values are the ABI's.</summary>
public enum RunState
{
    /// <summary>Executes guest code or a hypercall of it.</summary>
    Running = 0,

    /// <summary>Could run, but its domain is paused or has used up its CPU time.</summary>
    Runnable = 1,

    /// <summary>Waits for an event.</summary>
    Blocked = 2,

    /// <summary>Not brought up, or its domain has stopped.</summary>
    Offline = 3,
}
