namespace Shinano.XenAbi;

/// <summary>Low two bits of a mmu_update request's address. Source: public/xen.h: MMU_*.</summary>
public enum MmuUpdateCommand
{
    /// <summary>MMU_NORMAL_PT_UPDATE: a checked write to a page table.</summary>
    Normal = 0,

    /// <summary>MMU_MACHPHYS_UPDATE: an entry of the M2P table.</summary>
    MachineToPhysical = 1,

    /// <summary>MMU_PT_UPDATE_PRESERVE_AD: as Normal, keeping accessed and dirty bits that are set.</summary>
    PreserveAccessedDirty = 2,

    /// <summary>MMU_PT_UPDATE_NO_TRANSLATE: as Normal for guests that are not auto-translated.</summary>
    NoTranslate = 3,
}
