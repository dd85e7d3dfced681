namespace Shinano.Hypervisor.Mmu;

/// <summary>The one use that a frame is in at a time. Source: Xen's PGT_* types.</summary>
public enum FrameType : byte
{
    None = 0,
    L1 = 1,
    L2 = 2,
    L3 = 3,
    L4 = 4,

    /// <summary>Holds descriptors of a GDT or LDT.</summary>
    Descriptors = 5,

    /// <summary>Mapped writable somewhere.</summary>
    Writable = 6,
}
