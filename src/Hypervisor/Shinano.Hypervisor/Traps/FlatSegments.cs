using Shinano.Cpu;

namespace Shinano.Hypervisor.Traps;

/// <summary>The flat segments in the GDT page that Xen reserves for itself. Source: public/arch-x86/xen-x86_64.h: FLAT_RING3_*.</summary>
public static class FlatSegments
{
    /// <summary>FLAT_RING3_CS64.</summary>
    public const ushort Code64 = 0xE033;

    /// <summary>FLAT_RING3_CS32.</summary>
    public const ushort Code32 = 0xE023;

    /// <summary>FLAT_RING3_SS32, FLAT_RING3_DS32.</summary>
    public const ushort Data = 0xE02B;

    // SegmentRegister.Attributes: access byte, AVL, L, D/B and G at bits 8 to 15 (SDM 3A figure 3-8): DPL 3, present, accessed.
    private const ushort Code64Attributes = 0xA0FB;
    private const ushort Code32Attributes = 0xC0FB;
    private const ushort DataAttributes = 0xC0F3;

    /// <summary>The register's content for one of the three selectors (RPL ignored); false for any other.</summary>
    public static bool TryGet(ushort selector, out SegmentRegister segment)
    {
        ushort attributes = (ushort)(selector | 3) switch
        {
            Code64 => Code64Attributes,
            Code32 => Code32Attributes,
            Data => DataAttributes,
            _ => 0,
        };
        segment = new SegmentRegister { Selector = (ushort)(selector | 3), Limit = uint.MaxValue, Attributes = attributes };
        return attributes != 0;
    }

    /// <summary>A data segment register holding the null selector: usable in 64-bit mode, base kept apart.</summary>
    public static SegmentRegister Null(ushort selector = 0) => new() { Selector = selector, Limit = 0, Attributes = 0 };
}
