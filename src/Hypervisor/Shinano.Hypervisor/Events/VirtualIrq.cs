namespace Shinano.Hypervisor.Events;

/// <summary>Virtual interrupts. Source: public/xen.h: VIRQ_*.</summary>
public static class VirtualIrq
{
    /// <summary>VIRQ_TIMER: a timer of the vCPU fired. One per vCPU.</summary>
    public const int Timer = 0;

    /// <summary>VIRQ_DEBUG: somebody asks the guest for a dump. One per vCPU.</summary>
    public const int Debug = 1;

    private const int Profiler = 7;
    private const int PerformanceCounters = 13;

    /// <summary>NR_VIRQS.</summary>
    public const int Count = 24;

    /// <summary>Whether the domain has one of it, bound to vCPU 0 first, not one per vCPU (Xen: virq_is_global).</summary>
    public static bool IsGlobal(int virq) => virq is not (Timer or Debug or Profiler or PerformanceCounters);
}
