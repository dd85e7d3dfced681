namespace Shinano.XenAbi;

/// <summary>Bits of the feature map that XENVER_get_features gives. Source: public/features.h: XENFEAT_*.</summary>
[Flags]
public enum XenFeatures : uint
{
    None = 0,
    WritablePageTables = 1 << 0,
    WritableDescriptorTables = 1 << 1,
    AutoTranslatedPhysmap = 1 << 2,
    SupervisorModeKernel = 1 << 3,
    PaePgdirAbove4Gb = 1 << 4,
    MmuPtUpdatePreserveAd = 1 << 5,
    HighmemAssist = 1 << 6,
    GnttabMapAvailBits = 1 << 7,
    Dom0 = 1 << 11,
    MemoryOpVnodeSupported = 1 << 13,
    NotDirectMapped = 1 << 16,
    DirectMapped = 1 << 17,
}
