using Shinano.Memory;

namespace Shinano.Hypervisor.Traps;

/// <summary>A vCPU's struct vcpu_info, which guest and hypervisor share. Source: public/xen.h: struct vcpu_info, arch_vcpu_info.</summary>
/// <remarks>
/// <code>
///   0  evtchn_upcall_pending (byte)    1  evtchn_upcall_mask (byte)    8  evtchn_pending_sel    16  arch.cr2    32  time
/// </code>
/// </remarks>
internal static class VcpuInfo
{
    private const int PendingOffset = 0;
    private const int MaskOffset = 1;
    private const int Cr2Offset = 16;

    /// <summary>An upcall is pending and not masked. Any thread.</summary>
    public static bool IsUpcallDue(PvVcpu vcpu)
    {
        GuestMemory memory = vcpu.Domain.Memory;
        return Volatile.Read(ref memory.Shared<byte>(vcpu.VcpuInfoAddress + MaskOffset)) == 0
            && Volatile.Read(ref memory.Shared<byte>(vcpu.VcpuInfoAddress + PendingOffset)) != 0;
    }

    /// <summary>Whether the guest masks upcalls.</summary>
    public static bool IsUpcallMasked(PvVcpu vcpu) =>
        Volatile.Read(ref vcpu.Domain.Memory.Shared<byte>(vcpu.VcpuInfoAddress + MaskOffset)) != 0;

    /// <summary>Sets the upcall mask.</summary>
    public static void SetUpcallMask(PvVcpu vcpu, bool masked) =>
        Volatile.Write(ref vcpu.Domain.Memory.Shared<byte>(vcpu.VcpuInfoAddress + MaskOffset), masked ? (byte)1 : (byte)0);

    /// <summary>Reads the mask byte as the guest left it, and sets it when asked to.</summary>
    public static byte ReplaceUpcallMask(PvVcpu vcpu, bool set)
    {
        ref byte mask = ref vcpu.Domain.Memory.Shared<byte>(vcpu.VcpuInfoAddress + MaskOffset);
        byte before = Volatile.Read(ref mask);
        if (set)
        {
            Volatile.Write(ref mask, (byte)(before | 1));
        }

        return before;
    }

    /// <summary>Sets arch.cr2.</summary>
    public static void WriteCr2(PvVcpu vcpu, ulong address) =>
        Volatile.Write(ref vcpu.Domain.Memory.Shared<ulong>(vcpu.VcpuInfoAddress + Cr2Offset), address);
}
