using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// The page tables behind Xen's slots of every guest's address space: the M2P table for the guest to read (slot 256), and the vCPUs' descriptor tables
/// (slot 260) for the CPU alone. Frames come from the end of the machine space.
/// </summary>
internal sealed class HypervisorTables
{
    private const ulong TableRights = PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User | PageTableEntry.Accessed;
    private const ulong SupervisorRights = TableRights & ~PageTableEntry.User;
    private const ulong ReadOnlyPage = PageTableEntry.Present | PageTableEntry.User | PageTableEntry.Accessed | PageTableEntry.NoExecute;
    private const ulong DescriptorPage = PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.Accessed | PageTableEntry.Dirty;

    private readonly GuestMemory _memory;
    private readonly Func<ulong> _allocate;
    private readonly ulong[] _slots = new ulong[AddressSpaceLayout.LastXenSlot - AddressSpaceLayout.FirstXenSlot + 1];
    private readonly ulong[] _descriptorTables;
    private readonly ulong _zeroFrame;

    /// <param name="allocate">Gives a new zeroed frame of the hypervisor's.</param>
    public HypervisorTables(GuestMemory memory, ulong firstM2PFrame, ulong m2pFrames, int vcpus, Func<ulong> allocate)
    {
        _memory = memory;
        _allocate = allocate;
        _slots[0] = (allocate() << GuestMemory.PageShift) | TableRights;
        ulong start = AddressSpaceLayout.MachineToPhysicalStart + (memory.FirstFrame * sizeof(ulong));
        for (ulong i = 0; i < m2pFrames; i++)
        {
            ulong address = start + (i << GuestMemory.PageShift);
            ulong table = Descend(Descend(PageTableEntry.Frame(_slots[0]), address, 3, TableRights), address, 2, TableRights);
            Set(table, PageTableEntry.Index(address, 1), ((firstM2PFrame + i) << GuestMemory.PageShift) | ReadOnlyPage);
        }

        ulong domainSlot = (allocate() << GuestMemory.PageShift) | SupervisorRights;
        _slots[AddressSpaceLayout.PerDomainSlot - AddressSpaceLayout.FirstXenSlot] = domainSlot;
        ulong directory = Descend(PageTableEntry.Frame(domainSlot), AddressSpaceLayout.GdtStart(0), 3, SupervisorRights);
        int tables = ((vcpus * AddressSpaceLayout.DescriptorFramesPerVcpu) + PageTableEntry.Count - 1) / PageTableEntry.Count;
        _descriptorTables = new ulong[tables];
        for (int i = 0; i < tables; i++)
        {
            _descriptorTables[i] = allocate();
            Set(directory, i, (_descriptorTables[i] << GuestMemory.PageShift) | SupervisorRights);
        }

        _zeroFrame = allocate();
        ulong reserved = allocate();
        WriteReservedDescriptors(reserved);
        for (int vcpu = 0; vcpu < vcpus; vcpu++)
        {
            for (int page = 0; page < AddressSpaceLayout.GuestGdtFrames; page++)
            {
                ShowDescriptors(vcpu, page, 0);
            }

            ShowDescriptors(vcpu, AddressSpaceLayout.GuestGdtFrames, reserved);
            ShowDescriptors(vcpu, AddressSpaceLayout.GuestGdtFrames + 1, 0);
        }
    }

    /// <summary>Frames that the tables take at most.</summary>
    public static ulong FramesFor(ulong m2pFrames, int vcpus) =>
        (m2pFrames / PageTableEntry.Count) + (m2pFrames / (PageTableEntry.Count * PageTableEntry.Count)) + 16
        + (ulong)(vcpus * AddressSpaceLayout.DescriptorFramesPerVcpu / PageTableEntry.Count);

    /// <summary>Writes Xen's slots into a top-level table.</summary>
    /// <param name="withM2P">Whether the M2P table's slot is among them, or is left empty.</param>
    public void Install(ulong l4, bool withM2P)
    {
        for (int i = 0; i < _slots.Length; i++)
        {
            Set(l4, AddressSpaceLayout.FirstXenSlot + i, i != 0 || withM2P ? _slots[i] : 0);
        }
    }

    /// <summary>Shows the M2P table through a top-level table, or no longer does.</summary>
    public void ShowM2P(ulong l4, bool isShown) => Set(l4, AddressSpaceLayout.FirstXenSlot, isShown ? _slots[0] : 0);

    /// <summary>
    /// Shows a frame in a vCPU's descriptor area. Pages 0 to 15 are its GDT, where frame 0 stands for a page of zeroes; 16 to 31 its LDT, where it stands
    /// for none.
    /// </summary>
    public void ShowDescriptors(int vcpu, int page, ulong frame)
    {
        int entry = (vcpu * AddressSpaceLayout.DescriptorFramesPerVcpu) + page;
        ulong value = frame != 0 ? (frame << GuestMemory.PageShift) | DescriptorPage
            : page < AddressSpaceLayout.FirstLdtPage ? (_zeroFrame << GuestMemory.PageShift) | (DescriptorPage & ~PageTableEntry.Writable)
            : 0;
        Set(_descriptorTables[entry / PageTableEntry.Count], entry % PageTableEntry.Count, value);
    }

    private ulong Descend(ulong table, ulong address, int level, ulong rights)
    {
        int index = PageTableEntry.Index(address, level);
        _memory.TryReadUInt64((table << GuestMemory.PageShift) + ((ulong)index * sizeof(ulong)), out ulong entry);
        if (entry == 0)
        {
            entry = (_allocate() << GuestMemory.PageShift) | rights;
            Set(table, index, entry);
        }

        return PageTableEntry.Frame(entry);
    }

    private void Set(ulong table, int index, ulong value) =>
        _memory.TryWriteUInt64((table << GuestMemory.PageShift) + ((ulong)index * sizeof(ulong)), value);

    /// <summary>FLAT_RING3_CS32, _DS32 and _CS64 at their selectors 0xE023, 0xE02B and 0xE033, and the ring 0 pair that Xen has before them.</summary>
    private void WriteReservedDescriptors(ulong frame)
    {
        Set(frame, 1, 0x00AF_9B00_0000_FFFF);
        Set(frame, 2, 0x00CF_9300_0000_FFFF);
        Set(frame, 4, 0x00CF_FB00_0000_FFFF);
        Set(frame, 5, 0x00CF_F300_0000_FFFF);
        Set(frame, 6, 0x00AF_FB00_0000_FFFF);
    }
}
