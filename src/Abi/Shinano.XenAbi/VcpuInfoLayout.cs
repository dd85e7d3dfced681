namespace Shinano.XenAbi;

/// <summary>Offsets in struct vcpu_info and struct vcpu_time_info. Source: public/xen.h.</summary>
public static class VcpuInfoLayout
{
    public const int Size = 64;
    public const int UpcallPending = 0;
    public const int UpcallMask = 1;
    public const int PendingSelector = 8;

    /// <summary>The struct vcpu_time_info inside vcpu_info.</summary>
    public const int Time = 32;
    public const int TimeSize = 32;

    // In struct vcpu_time_info:
    public const int TimeVersion = 0;
    public const int TscTimestamp = 8;
    public const int SystemTime = 16;
    public const int TscMultiplier = 24;
    public const int TscShift = 28;
    public const int TimeFlags = 29;

    /// <summary>XEN_PVCLOCK_TSC_STABLE_BIT: times of different vCPUs may be compared.</summary>
    public const byte TscStable = 1;
}
