using Shinano.XenAbi;

namespace Shinano.Hypervisor.Hypercalls;

/// <summary>What event channels, grants and vCPU areas ask of the MMU about the guest's frames. Thread-safe.</summary>
public interface IGuestFrames
{
    /// <summary>Holds a frame of the guest for writing by the hypervisor: until released, it stays memory and is no page table or descriptor page.</summary>
    /// <returns>False when it is not the guest's or has another use.</returns>
    bool TryHold(ulong frame);

    /// <summary>Undoes one <see cref="TryHold"/>.</summary>
    void Release(ulong frame);

    /// <summary>Holds a frame of the guest for reading by the hypervisor: until released, it stays the guest's memory, in whatever use.</summary>
    bool TryHoldRead(ulong frame);

    /// <summary>Undoes one <see cref="TryHoldRead"/>.</summary>
    void ReleaseRead(ulong frame);

    /// <summary>A new zeroed frame of the hypervisor that the guest may map. It is never given back.</summary>
    /// <returns>False when the domain has used up its share.</returns>
    bool TryAllocateShared(out Mfn frame);

    /// <summary>Machine address of the L1 entry that translates an address in the vCPU's current tables; false when a level is missing.</summary>
    bool TryFindEntry(PvVcpu vcpu, ulong address, out ulong entry);

    /// <summary>
    /// Writes an L1 entry as mmu_update would, but only when it maps <paramref name="expectedFrame"/> (any entry when null), and drops stale translations of
    /// the domain's vCPUs.
    /// </summary>
    /// <returns>0, or a negated <see cref="Errno"/>.</returns>
    int ReplaceEntry(PvVcpu vcpu, ulong entry, ulong value, ulong? expectedFrame);
}
