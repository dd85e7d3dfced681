namespace Shinano.XenAbi;

/// <summary>Where the hypervisor lives in a 64-bit PV guest's address space. Source: public/arch-x86/xen-x86_64.h; Xen's asm-x86/config.h for the slots.</summary>
public static class AddressSpaceLayout
{
    /// <summary>HYPERVISOR_VIRT_START and MACH2PHYS_VIRT_START: the read-only M2P table.</summary>
    public const ulong MachineToPhysicalStart = 0xFFFF_8000_0000_0000;

    /// <summary>MACH2PHYS_VIRT_END.</summary>
    public const ulong MachineToPhysicalEnd = 0xFFFF_8040_0000_0000;

    /// <summary>HYPERVISOR_VIRT_END.</summary>
    public const ulong HypervisorEnd = 0xFFFF_8800_0000_0000;

    /// <summary>First L4 slot that belongs to Xen.</summary>
    public const int FirstXenSlot = 256;

    /// <summary>Last L4 slot that belongs to Xen.</summary>
    public const int LastXenSlot = 271;

    /// <summary>The L4 slot of the per-domain area: descriptor tables of the vCPUs.</summary>
    public const int PerDomainSlot = 260;

    /// <summary>Frames that a vCPU has in the per-domain area: 16 of GDT and 16 of LDT.</summary>
    public const int DescriptorFramesPerVcpu = 32;

    /// <summary>The first LDT page of a vCPU's place in the per-domain area.</summary>
    public const int FirstLdtPage = 16;

    /// <summary>Highest offset in a GDT: the guest's frames and Xen's first reserved one.</summary>
    public const uint GdtLimit = ((GuestGdtFrames + 1) << 12) - 1;

    /// <summary>GDT frames a guest may set (FIRST_RESERVED_GDT_PAGE); the two after them are Xen's.</summary>
    public const int GuestGdtFrames = 14;

    /// <summary>Linear address of a vCPU's GDT.</summary>
    public static ulong GdtStart(int vcpu) => PerDomainStart + ((ulong)vcpu << 17);

    /// <summary>Linear address of a vCPU's LDT.</summary>
    public static ulong LdtStart(int vcpu) => GdtStart(vcpu) + 0x10000;

    private const ulong PerDomainStart = 0xFFFF_0000_0000_0000 | ((ulong)PerDomainSlot << 39);
}
