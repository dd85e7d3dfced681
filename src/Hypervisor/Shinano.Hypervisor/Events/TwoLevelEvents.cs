
namespace Shinano.Hypervisor.Events;

/// <summary>
/// The 2-level event ABI: bits of the shared info page and a selector word per vCPU. Source: public/xen.h: struct shared_info, struct vcpu_info.
/// </summary>
/// <remarks>
/// <code>
/// shared_info  2048  evtchn_pending[64]  (a bit per port)      vcpu_info  0  evtchn_upcall_pending (byte)
///              2560  evtchn_mask[64]     (a bit per port)                 8  evtchn_pending_sel    (a bit per word of evtchn_pending)
/// </code>
/// Lock-free: the guest changes the same words with atomic instructions.
/// </remarks>
internal sealed class TwoLevelEvents(Domain domain)
{
    /// <summary>Ports that the bitmaps have room for.</summary>
    public const int PortLimit = 64 * 64;

    private const ulong PendingOffset = 2048;
    private const ulong MaskOffset = 2560;
    private const ulong SelectorOffset = 8;

    /// <summary>Makes a port pending.</summary>
    /// <returns>False when it was pending already.</returns>
    public bool SetPending(PvVcpu vcpu, uint port)
    {
        ulong bit = 1UL << (int)(port & 63);
        if ((Interlocked.Or(ref Word(PendingOffset, port), bit) & bit) != 0)
        {
            return false;
        }

        if (!IsMasked(port))
        {
            Select(vcpu, port);
        }

        return true;
    }

    /// <summary>Clears a port's mask; delivers what waited behind it.</summary>
    public void Unmask(PvVcpu vcpu, uint port)
    {
        ulong bit = 1UL << (int)(port & 63);
        if ((Interlocked.And(ref Word(MaskOffset, port), ~bit) & bit) != 0 && IsPending(port))
        {
            Select(vcpu, port);
        }
    }

    public void ClearPending(uint port) => Interlocked.And(ref Word(PendingOffset, port), ~(1UL << (int)(port & 63)));

    public bool IsPending(uint port) => (Volatile.Read(ref Word(PendingOffset, port)) >> (int)(port & 63) & 1) != 0;

    public bool IsMasked(uint port) => (Volatile.Read(ref Word(MaskOffset, port)) >> (int)(port & 63) & 1) != 0;

    /// <summary>Says that an upcall is due and has the vCPU look (Xen: vcpu_mark_events_pending).</summary>
    public static void MarkPending(PvVcpu vcpu)
    {
        if (Interlocked.Exchange(ref vcpu.Domain.Memory.Shared<byte>(vcpu.VcpuInfoAddress), (byte)1) == 0)
        {
            vcpu.Notify();
        }
    }

    /// <summary>Has a vCPU look at every word, as its selector may have been lost in a move of struct vcpu_info.</summary>
    public static void SelectAll(PvVcpu vcpu)
    {
        Interlocked.Exchange(ref vcpu.Domain.Memory.Shared<ulong>(vcpu.VcpuInfoAddress + SelectorOffset), ~0UL);
        MarkPending(vcpu);
    }

    private static void Select(PvVcpu vcpu, uint port)
    {
        ulong bit = 1UL << (int)(port >> 6);
        if ((Interlocked.Or(ref vcpu.Domain.Memory.Shared<ulong>(vcpu.VcpuInfoAddress + SelectorOffset), bit) & bit) == 0)
        {
            MarkPending(vcpu);
        }
    }

    private ref ulong Word(ulong offset, uint port) => ref domain.Memory.Shared<ulong>(domain.SharedInfoFrame.Address + offset + (port >> 6 << 3));
}
