namespace Shinano.XenAbi;

/// <summary>Offsets in struct shared_info of a 64-bit guest. Source: public/xen.h; public/arch-x86/xen.h: arch_shared_info.</summary>
public static class SharedInfoLayout
{
    public const int VcpuInfoSize = 64;
    public const int VcpuInfoCount = 32;
    public const int EventPending = 2048;
    public const int EventMask = 2560;

    /// <summary>EVTCHN_2L_NR_CHANNELS.</summary>
    public const int TwoLevelPorts = 4096;
    public const int WallClockVersion = 3072;
    public const int WallClockSeconds = 3076;
    public const int WallClockNanoseconds = 3080;
    public const int WallClockSecondsHigh = 3084;
    public const int MaximumPfn = 3088;
    public const int PfnToMfnList = 3096;
    public const int NmiReason = 3104;
}
