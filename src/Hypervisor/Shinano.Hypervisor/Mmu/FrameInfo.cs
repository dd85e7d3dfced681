using System.Runtime.InteropServices;

namespace Shinano.Hypervisor.Mmu;

/// <summary>What the MMU keeps of each frame, 16 bytes. Source: Xen's struct page_info.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct FrameInfo
{
    private const byte PinnedFlag = 1;
    private const byte LeavingFlag = 2;
    private const byte DroppingFlag = 4;
    private const byte WasTableFlag = 8;

    /// <summary>All uses: page-table entries that name the frame, whatever their rights, pins, loaded roots, descriptor tables.</summary>
    public uint References;

    /// <summary>Uses as <see cref="Type"/>, each of them a reference too.</summary>
    public uint TypeCount;

    /// <summary>
    /// Time of <see cref="TranslationFlushes"/> when the last use ended that vCPUs may not have forgotten yet: as a writable page, whose translations linger, or
    /// as a page table, in which a walk may still be under way. 0 when there was none.
    /// </summary>
    public uint StaleUntil;

    /// <summary>
    /// Of a page table: when positive, the number of its entries that map tables of its own level (linear page tables); when negative, the number of such
    /// entries in other tables that map it. Never both, so that no table maps itself by way of another. Source: Xen's linear_pt_count.
    /// </summary>
    public short LinearCount;
    public FrameType Type;
    private byte _bits;

    /// <summary>Whose the frame is.</summary>
    public FrameOwner Owner
    {
        readonly get => (FrameOwner)(_bits & 3);
        set => _bits = (byte)((_bits & ~3) | (int)value);
    }

    /// <summary>MMUEXT_PIN_Ln_TABLE holds a use.</summary>
    public bool Pinned
    {
        readonly get => Has(PinnedFlag);
        set => Set(PinnedFlag, value);
    }

    /// <summary>The guest gave the frame back; it is freed with its last reference.</summary>
    public bool Leaving
    {
        readonly get => Has(LeavingFlag);
        set => Set(LeavingFlag, value);
    }

    /// <summary>A page table without uses whose entries are still to be released.</summary>
    public bool Dropping
    {
        readonly get => Has(DroppingFlag);
        set => Set(DroppingFlag, value);
    }

    /// <summary>The last use was as a page table, and <see cref="StaleUntil"/> says until when.</summary>
    public bool WasTable
    {
        readonly get => Has(WasTableFlag);
        set => Set(WasTableFlag, value);
    }

    private readonly bool Has(byte flag) => (_bits & (flag << 2)) != 0;

    private void Set(byte flag, bool value) => _bits = (byte)(value ? _bits | (flag << 2) : _bits & ~(flag << 2));
}
