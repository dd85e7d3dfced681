using System.Runtime.InteropServices;
using Shinano.Hypervisor.Images;
using Shinano.Hypervisor.Mmu;
using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Building;

/// <summary>Fills a PV domain's first memory as <see cref="PvMemoryLayout"/> lays it out.</summary>
public sealed class PvDomainBuilder(Domain domain, MmuHypercalls mmu)
{
    private const ulong PageSize = GuestMemory.PageSize;

    // As libxenguest's x86_64_params; the user bit of last-level entries comes with their check.
    private const ulong PageRights = PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.Accessed;
    private const ulong TableRights = PageRights | PageTableEntry.Dirty | PageTableEntry.User;

    /// <summary>
    /// Features that a kernel may require (public/features.h): writable_page_tables (by VMASST_TYPE_writable_pagetables), pae_pgdir_above_4gb,
    /// mmu_pt_update_preserve_ad, highmem_assist, gnttab_map_avail_bits, memory_op_vnode_supported, linux_rsdp_unrestricted.
    /// </summary>
    private const uint SupportedFeatures = (1 << 0) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 7) | (1 << 13) | (1 << 15);

    /// <summary>vCPUs with a place in the shared info page. Source: public/arch-x86/xen.h: XEN_LEGACY_MAX_VCPUS.</summary>
    private const ulong SharedVcpus = 32;

    private const ulong VcpuInfoSize = 64;
    private const ulong UpcallMaskOffset = 1;

    private readonly MachineSpace _space = mmu.Space;
    private readonly GuestMemory _memory = mmu.Space.Memory;
    private ulong _pages;

    /// <summary>Fills the memory of a domain that has none yet.</summary>
    /// <exception cref="DomainBuildException">It does not fit, or the kernel asks for what a PV domain cannot have. Nothing was changed.</exception>
    public PvBuildResult Build(PvBuildRequest request)
    {
        KernelImage kernel = request.Kernel;
        if ((kernel.Notes.RequiredFeatures & ~SupportedFeatures) is var missing and not 0)
        {
            throw new DomainBuildException(
                DomainBuildError.KernelRequirement, $"the kernel requires Xen features that a PV domain does not have here (bits {missing:x} of XENFEAT_*)");
        }

        _pages = request.Pages;
        PvMemoryLayout layout = PvMemoryLayout.Create(kernel, (ulong)request.Ramdisk.Length, _pages);
        if (kernel.HypercallPage is { } page && (page < kernel.VirtualBase || (page - kernel.VirtualBase) / PageSize >= layout.Mapping.Pages))
        {
            throw new DomainBuildException(DomainBuildError.KernelRequirement, $"the kernel's hypercall page at {page:x} is outside of its memory");
        }

        lock (mmu.MmuLock)
        {
            _space.ClaimInitial(_pages);
        }

        foreach (KernelSegment segment in kernel.Segments)
        {
            Copy(segment.PseudoPhysicalAddress, segment.FileBytes.Span);
        }

        if (kernel.HypercallPage is { } hypercallPage)
        {
            Span<byte> stubs = stackalloc byte[(int)PageSize];
            HypercallPage.Write(stubs);
            Copy(hypercallPage - kernel.VirtualBase, stubs);
        }

        Copy(layout.Ramdisk * PageSize, request.Ramdisk.Span);
        FillList(layout.List);
        FillTables(layout);
        WriteStartInfo(request, layout);
        for (ulong i = 0; i < SharedVcpus; i++)
        {
            _memory.Shared<byte>(domain.SharedInfoFrame.Address + (i * VcpuInfoSize) + UpcallMaskOffset) = 1;
        }

        ulong root = Frame(layout.Tables);
        Pin(root);
        return new PvBuildResult(
            kernel.Entry,
            AddressOf(kernel, layout.StartInfo),
            AddressOf(kernel, layout.Stack + 1),
            new Mfn(root),
            new Mfn(Frame(layout.StoreRing)),
            new Mfn(Frame(layout.ConsoleRing)));
    }

    private static ulong AddressOf(KernelImage kernel, ulong pfn) => unchecked(kernel.VirtualBase + (pfn * PageSize));

    private ulong Frame(ulong pfn) => MachineSpace.InitialFrame(pfn, _pages);

    private Span<ulong> Words(ulong pfn) => MemoryMarshal.Cast<byte, ulong>(_memory.FrameSpan(Frame(pfn)));

    private void Copy(ulong physical, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int offset = (int)(physical % PageSize);
            int chunk = Math.Min(bytes.Length, (int)PageSize - offset);
            bytes[..chunk].CopyTo(_memory.FrameSpan(Frame(physical / PageSize))[offset..]);
            bytes = bytes[chunk..];
            physical += (ulong)chunk;
        }
    }

    private void FillList(ulong list)
    {
        for (ulong first = 0; first < _pages; first += PageTableEntry.Count)
        {
            Span<ulong> words = Words(list + (first / PageTableEntry.Count));
            for (int i = 0; i < words.Length; i++)
            {
                // Beyond the last page: INVALID_P2M_ENTRY, as no frame of the guest's.
                words[i] = first + (ulong)i < _pages ? Frame(first + (ulong)i) : ulong.MaxValue;
            }
        }
    }

    private void FillTables(PvMemoryLayout layout)
    {
        Map(layout, layout.Mapping);
        if (layout.ListMapping is { } list)
        {
            Map(layout, list);
        }
    }

    private void Map(PvMemoryLayout layout, InitialMapping mapping)
    {
        for (ulong i = 0; i < mapping.Pages; i++)
        {
            ulong address = unchecked(mapping.Start + (i * PageSize));
            ulong table = TableFor(layout, address, 1);
            ulong pfn = mapping.FirstPfn + i;
            bool isTable = pfn >= layout.Tables && pfn < layout.Tables + layout.TableCount;
            Words(table)[PageTableEntry.Index(address, 1)] = Entry(pfn, isTable ? PageRights & ~PageTableEntry.Writable : PageRights);
            if (i != 0 && PageTableEntry.Index(address, 1) != 0)
            {
                continue;
            }

            // The first page of this table: hook it in, and those above it.
            for (int level = 2; level <= 4; level++)
            {
                ulong upper = level == 4 ? layout.Tables : TableFor(layout, address, level);
                Words(upper)[PageTableEntry.Index(address, level)] = Entry(table, TableRights);
                table = upper;
            }
        }
    }

    private ulong Entry(ulong pfn, ulong rights) => (Frame(pfn) << GuestMemory.PageShift) | rights;

    private static ulong TableFor(PvMemoryLayout layout, ulong address, int level) =>
        layout.Mapping.TryGetTable(address, level, out ulong pfn)
        || (layout.ListMapping is { } list && list.TryGetTable(address, level, out pfn))
            ? pfn
            : throw new InvalidOperationException($"no table of level {level} for {address:x}");

    private void WriteStartInfo(PvBuildRequest request, PvMemoryLayout layout)
    {
        KernelImage kernel = request.Kernel;
        ulong ramdiskLength = (ulong)request.Ramdisk.Length;
        ulong ramdiskStart = ramdiskLength == 0 ? 0 : layout.RamdiskIsUnmapped ? layout.Ramdisk : AddressOf(kernel, layout.Ramdisk);
        StartInfo.Write(
            _memory.FrameSpan(Frame(layout.StartInfo)),
            _pages,
            domain.SharedInfoFrame.Address,
            layout.RamdiskIsUnmapped ? StartInfo.ModuleStartIsPfn : 0,
            (Frame(layout.StoreRing), request.StorePort.Value),
            (Frame(layout.ConsoleRing), request.ConsolePort.Value),
            (AddressOf(kernel, layout.Tables), layout.TableCount),
            layout.ListMapping?.Start ?? AddressOf(kernel, layout.List),
            (ramdiskStart, ramdiskLength),
            layout.ListMapping is null ? (0, 0) : (layout.List, layout.ListFrames),
            request.CommandLine);
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
}
