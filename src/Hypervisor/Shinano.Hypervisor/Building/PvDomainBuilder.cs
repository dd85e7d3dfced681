using Shinano.Hypervisor.Images;
using Shinano.Hypervisor.Mmu;
using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Building;

/// <summary>
/// Lays out a PV domain's memory as public/xen.h ("Start-of-day memory layout") and libxenguest do.
/// </summary>
/// <remarks>
/// <code>
/// virt_base  kernel | ramdisk* | P2M* | start_info | store ring | console ring | page tables | stack | at least 512 KiB, to 4 MiB
/// unmapped   ramdisk (MOD_START_PFN)   P2M (INIT_P2M: mapped at that address)        * when not given a place of its own
/// </code>
/// </remarks>
public sealed class PvDomainBuilder(Domain domain, MmuHypercalls mmu)
{
    private const ulong PageSize = GuestMemory.PageSize;
    private const ulong Alignment = 4UL << 20;
    private const ulong Padding = 512UL << 10;
    private const ulong EntryRights = PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.Accessed | PageTableEntry.User;

    private readonly MachineSpace _space = mmu.Space;
    private readonly GuestMemory _memory = mmu.Space.Memory;
    private ulong _pages;
    private ulong _tableStart;
    private ulong _tableCount;
    private ulong _nextTable;

    /// <summary>Fills the memory of a domain that has none yet.</summary>
    /// <exception cref="DomainMemoryException">It does not fit.</exception>
    public PvBuildResult Build(PvBuildRequest request)
    {
        KernelImage kernel = request.Kernel;
        ulong virtualBase = kernel.VirtualBase;
        _pages = request.Pages;
        ulong ramdiskPages = PagesOf((ulong)request.Ramdisk.Length);
        ulong listPages = PagesOf(_pages * 8);
        bool ramdiskUnmapped = kernel.Notes.ModuleStartIsPfn;
        ulong? listAddress = kernel.InitialP2M;

        // The mapped part, in pages from virt_base.
        ulong next = PagesOf(kernel.VirtualEnd - virtualBase);
        ulong ramdisk = 0;
        if (!ramdiskUnmapped)
        {
            ramdisk = next;
            next += ramdiskPages;
        }

        ulong list = 0;
        if (listAddress is null)
        {
            list = next;
            next += listPages;
        }

        ulong startInfo = next++;
        ulong store = next++;
        ulong console = next++;
        _tableStart = next;
        ulong mappedEnd;
        _tableCount = 1;
        do
        {
            ulong end = virtualBase + ((_tableStart + _tableCount + 1) * PageSize) + Padding;
            mappedEnd = (end + Alignment - 1) & ~(Alignment - 1);
            ulong needed = TablesFor(virtualBase, mappedEnd, listAddress, listPages);
            if (needed <= _tableCount)
            {
                break;
            }

            _tableCount = needed;
        }
        while (true);

        ulong stack = _tableStart + _tableCount;
        ulong unmapped = stack + 1;
        if (ramdiskUnmapped)
        {
            ramdisk = unmapped;
            unmapped += ramdiskPages;
        }

        if (listAddress is not null)
        {
            list = unmapped;
            unmapped += listPages;
        }

        if (unmapped > _pages)
        {
            throw new DomainMemoryException(
                $"the domain has {_pages / 256} MiB of memory, but its kernel, ramdisk ({request.Ramdisk.Length >> 20} MiB) and start-up pages need {(unmapped / 256) + 1} MiB");
        }

        _space.ClaimInitial(_pages);
        foreach (KernelSegment segment in kernel.Segments)
        {
            Copy(segment.PseudoPhysicalAddress, segment.FileBytes.Span);
        }

        if (kernel.HypercallPage is { } hypercallPage)
        {
            Span<byte> stubs = stackalloc byte[(int)PageSize];
            HypercallPage.Write(stubs);
            Copy(hypercallPage - virtualBase, stubs);
        }

        Copy(ramdisk * PageSize, request.Ramdisk.Span);
        for (ulong pfn = 0; pfn < _pages; pfn++)
        {
            _memory.TryWriteUInt64((Frame(list + (pfn / 512)) << 12) + (pfn % 512 * 8), Frame(pfn));
        }

        ulong root = BuildTables(virtualBase, mappedEnd, listAddress, list, listPages);
        StartInfo.Write(
            _memory.FrameSpan(Frame(startInfo)),
            _pages,
            domain.SharedInfoFrame.Address,
            ramdiskUnmapped && ramdiskPages > 0 ? StartInfo.ModuleStartIsPfn : 0,
            (Frame(store), request.StorePort.Value),
            (Frame(console), request.ConsolePort.Value),
            (virtualBase + (_tableStart * PageSize), _tableCount),
            listAddress ?? (virtualBase + (list * PageSize)),
            ramdiskPages == 0 ? (0, 0) : (ramdiskUnmapped ? ramdisk : virtualBase + (ramdisk * PageSize), (ulong)request.Ramdisk.Length),
            listAddress is null ? (0, 0) : (list, listPages),
            request.CommandLine);

        Pin(root);
        return new PvBuildResult(
            kernel.Entry,
            virtualBase + (startInfo * PageSize),
            virtualBase + ((stack + 1) * PageSize),
            new Mfn(root),
            new Mfn(Frame(store)),
            new Mfn(Frame(console)));
    }

    private void Pin(ulong root)
    {
        int error;
        do
        {
            lock (mmu.MmuLock)
            {
                mmu.Types.BeginWork();
                error = mmu.Types.Acquire(root, FrameType.L4);
                if (error == 0)
                {
                    mmu.Types.Finish();
                    _space.TryGet(root, out int index);
                    _space[index].Pinned = true;
                }
            }
        }
        while (error == PageTypes.Preempted);
        if (error != 0)
        {
            throw new InvalidOperationException($"the initial page tables were refused with {error}");
        }
    }

    private static ulong PagesOf(ulong bytes) => (bytes + PageSize - 1) / PageSize;

    /// <summary>Tables of each level that cover a range, plus the L4.</summary>
    private static ulong TablesFor(ulong start, ulong end, ulong? listAddress, ulong listPages)
    {
        ulong count = 1;
        for (int level = 1; level <= 3; level++)
        {
            int shift = 12 + (9 * level);
            count += ((end - 1) >> shift) - (start >> shift) + 1;
            if (listAddress is { } list)
            {
                count += ((list + (listPages * PageSize) - 1) >> shift) - (list >> shift) + 1;
            }
        }

        return count;
    }

    private ulong Frame(ulong pfn) => MachineSpace.InitialFrame(pfn, _pages);

    private void Copy(ulong physical, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int chunk = Math.Min(bytes.Length, (int)(PageSize - (physical % PageSize)));
            if (!_memory.TryWrite((Frame(physical / PageSize) << 12) + (physical % PageSize), bytes[..chunk]))
            {
                throw new DomainMemoryException($"the domain's memory ends at {_pages / 256} MiB, before the kernel's");
            }

            bytes = bytes[chunk..];
            physical += (ulong)chunk;
        }
    }

    private ulong BuildTables(ulong virtualBase, ulong mappedEnd, ulong? listAddress, ulong list, ulong listPages)
    {
        _nextTable = _tableStart;
        ulong root = NewTable();
        for (ulong pfn = 0; pfn < (mappedEnd - virtualBase) / PageSize && pfn < _pages; pfn++)
        {
            bool isTable = pfn >= _tableStart && pfn < _tableStart + _tableCount;
            Map(root, virtualBase + (pfn * PageSize), Frame(pfn), writable: !isTable);
        }

        for (ulong i = 0; listAddress is { } address && i < listPages; i++)
        {
            Map(root, address + (i * PageSize), Frame(list + i), writable: true);
        }

        return root;
    }

    private ulong NewTable()
    {
        if (_nextTable == _tableStart + _tableCount)
        {
            throw new InvalidOperationException("more page tables than were counted");
        }

        return Frame(_nextTable++);
    }

    private void Map(ulong root, ulong address, ulong frame, bool writable)
    {
        ulong table = root;
        for (int level = 4; level > 1; level--)
        {
            ulong slot = (table << 12) + ((ulong)PageTableEntry.Index(address, level) * 8);
            _memory.TryReadUInt64(slot, out ulong entry);
            if ((entry & PageTableEntry.Present) == 0)
            {
                entry = (NewTable() << 12) | EntryRights;
                _memory.TryWriteUInt64(slot, entry);
            }

            table = PageTableEntry.Frame(entry);
        }

        ulong rights = EntryRights & ~PageTableEntry.User & ~(writable ? 0 : PageTableEntry.Writable);
        _memory.TryWriteUInt64((table << 12) + ((ulong)PageTableEntry.Index(address, 1) * 8), (frame << 12) | rights);
    }
}
