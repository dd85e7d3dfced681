namespace Shinano.X86;

/// <summary>Bits and fields of a 4-level page-table entry. Source: SDM 3A §4.5.4.</summary>
public static class PageTableEntry
{
    public const ulong Present = 1UL << 0;
    public const ulong Writable = 1UL << 1;
    public const ulong User = 1UL << 2;
    public const ulong WriteThrough = 1UL << 3;
    public const ulong CacheDisable = 1UL << 4;
    public const ulong Accessed = 1UL << 5;
    public const ulong Dirty = 1UL << 6;

    /// <summary>PS in L2/L3 entries (a 2 MiB or 1 GiB page), PAT in L1 entries.</summary>
    public const ulong LargePage = 1UL << 7;
    public const ulong Global = 1UL << 8;
    public const ulong NoExecute = 1UL << 63;

    /// <summary>The frame address field, bits 12 to 51.</summary>
    public const ulong AddressMask = 0x000F_FFFF_FFFF_F000;

    /// <summary>Entries per table.</summary>
    public const int Count = 512;

    /// <summary>The frame number an entry points at.</summary>
    public static ulong Frame(ulong entry) => (entry & AddressMask) >> 12;

    /// <summary>The index into the table of <paramref name="level"/> (1 to 4) that translates <paramref name="address"/>.</summary>
    public static int Index(ulong address, int level) => (int)(address >> (3 + (9 * level))) & 511;
}
