using Shinano.X86;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// Which bits a PV guest may set in its page-table entries, and those that are set for it. Source: Xen 4.17, L1_DISALLOW_MASK and its kin for a domain without
/// devices, and adjust_guest_l1e to adjust_guest_l4e.
/// </summary>
internal static class EntryRules
{
    /// <summary>Software bit 52: the guest's kernel sees the page as its own, the user bit notwithstanding. Source: Xen's _PAGE_GUEST_KERNEL.</summary>
    public const ulong GuestKernel = 1UL << 52;

    /// <summary>Bits that may differ without another look at the frame: Xen's FASTPATH_FLAG_WHITELIST.</summary>
    public const ulong Harmless = PageTableEntry.NoExecute | SoftwareHigh | SoftwareLow | PageTableEntry.Global | PageTableEntry.Dirty
        | PageTableEntry.Accessed | PageTableEntry.User;

    private const ulong SoftwareLow = 7UL << 9;
    private const ulong SoftwareHigh = 0x7FFUL << 52;

    /// <summary>Neither cache attributes (a domain without devices has no use for them), nor PS: a PV guest has no large pages.</summary>
    private const ulong ForbiddenL1 = PageTableEntry.WriteThrough | PageTableEntry.CacheDisable | PageTableEntry.LargePage;

    private const ulong ForbiddenTable = ForbiddenL1 | PageTableEntry.Global;

    /// <summary>Whether a present entry has only bits that are allowed at its level.</summary>
    public static bool IsAllowed(int level, ulong entry) => (entry & (level == 1 ? ForbiddenL1 : ForbiddenTable)) == 0;

    /// <summary>
    /// Adds the bits of a present entry that a kernel at CPL 3 needs: everything is a user page. The guest tells its own kernel's pages by
    /// <see cref="GuestKernel"/>; user pages become global, as the roots of both modes map them.
    /// </summary>
    public static ulong Adjust(int level, ulong entry)
    {
        if (level == 1)
        {
            entry |= (entry & PageTableEntry.User) == 0 ? GuestKernel | PageTableEntry.User : 0;
            return (entry & GuestKernel) == 0 ? entry | PageTableEntry.Global : entry;
        }

        return entry | PageTableEntry.User | (level == 4 ? PageTableEntry.Accessed : 0);
    }
}
