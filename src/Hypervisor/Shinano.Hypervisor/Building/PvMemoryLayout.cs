using Shinano.Hypervisor.Images;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Building;

/// <summary>
/// Where everything of a PV domain's first memory is, in pseudo-physical frames. Source: public/xen.h, "Start-of-day memory layout"; libxenguest's
/// xc_dom_build_image for the order.
/// </summary>
/// <remarks>
/// <code>
/// virt_base  kernel | ramdisk* | P2M* | start_info | store ring | console ring | page tables | stack | at least 512 KiB, to 4 MiB
/// then, not mapped there:  ramdisk (MOD_START_PFN) | P2M (INIT_P2M, mapped at that address) and the tables that map it
///                                                                                   * when not given a place of its own
/// </code>
/// </remarks>
internal sealed class PvMemoryLayout
{
    private const ulong PageSize = GuestMemory.PageSize;
    private const ulong MappedAlignment = 4UL << 20;
    private const ulong PaddingPages = (512UL << 10) / PageSize;
    private const ulong AddressSpaceHalf = 1UL << 47;

    private PvMemoryLayout(InitialMapping mapping) => Mapping = mapping;

    /// <summary>The kernel's mapping, from its virtual base.</summary>
    public InitialMapping Mapping { get; }

    /// <summary>The P2M's own mapping (INIT_P2M), or null.</summary>
    public InitialMapping? ListMapping { get; private init; }

    public ulong Ramdisk { get; private init; }

    /// <summary>The ramdisk lies outside of the mapping and is passed by its frame number.</summary>
    public bool RamdiskIsUnmapped { get; private init; }

    /// <summary>First frame of the P2M.</summary>
    public ulong List { get; private init; }

    /// <summary>Frames of the P2M, and of the tables that map it where it has an address of its own.</summary>
    public ulong ListFrames { get; private init; }

    public ulong StartInfo { get; private init; }

    public ulong StoreRing => StartInfo + 1;

    public ulong ConsoleRing => StartInfo + 2;

    /// <summary>The L4 table and those of the kernel's mapping.</summary>
    public ulong Tables => StartInfo + 3;

    public ulong TableCount => Mapping.TableCount + 1;

    public ulong Stack => Tables + TableCount;

    /// <summary>Frames that all of this takes.</summary>
    public ulong Needed { get; private init; }

    /// <summary>Makes the layout.</summary>
    /// <param name="ramdiskBytes">0 for none.</param>
    /// <param name="pages">The domain's memory in pages.</param>
    /// <exception cref="DomainBuildException">It does not fit, or asks for what cannot be.</exception>
    public static PvMemoryLayout Create(KernelImage kernel, ulong ramdiskBytes, ulong pages)
    {
        ulong virtualBase = kernel.VirtualBase;
        CheckBase(virtualBase);
        ulong ramdiskPages = PagesOf(ramdiskBytes);
        ulong listPages = PagesOf(pages * sizeof(ulong));
        if (ramdiskPages >= pages)
        {
            throw new DomainBuildException(
                DomainBuildError.RamdiskTooLarge,
                $"the ramdisk is {MebiBytes(ramdiskPages)} MiB; the domain has {pages / 256} MiB of memory in all");
        }

        // Xen's rule: a place for the P2M counts only below the kernel, and on a page boundary.
        ulong? listAddress = kernel.InitialP2M is { } wanted && wanted < virtualBase && wanted % PageSize == 0 ? wanted : null;
        bool ramdiskIsUnmapped = kernel.Notes.ModuleStartIsPfn && ramdiskPages > 0;

        ulong next = PagesOf(kernel.VirtualEnd - virtualBase);
        ulong ramdisk = next;
        next += ramdiskIsUnmapped ? 0 : ramdiskPages;
        ulong list = next;
        next += listAddress is null ? listPages : 0;
        ulong startInfo = next;
        InitialMapping mapping = MapTo(virtualBase, next + 3);
        ulong unmapped = mapping.Pages;
        if (ramdiskIsUnmapped)
        {
            ramdisk = unmapped;
            unmapped += ramdiskPages;
        }

        InitialMapping? listMapping = null;
        ulong listFrames = listPages;
        if (listAddress is { } address)
        {
            if (listPages > (virtualBase - address) / PageSize)
            {
                throw new DomainBuildException(
                    DomainBuildError.KernelRequirement, $"the kernel wants its P2M at {address:x}, where {listPages} pages run into its own at {virtualBase:x}");
            }

            CheckBase(address);
            list = unmapped;
            listMapping = new InitialMapping(address, listPages, mapping) { FirstPfn = list };
            listFrames += listMapping.TableCount;
            listMapping.PlaceTables(list + listPages);
            unmapped += listFrames;
        }

        if (unmapped > pages)
        {
            throw new DomainBuildException(
                DomainBuildError.MemoryTooSmall,
                $"the domain has {pages / 256} MiB of memory; its kernel ({MebiBytes(PagesOf(kernel.VirtualEnd - virtualBase))} MiB), "
                + $"ramdisk ({MebiBytes(ramdiskPages)} MiB) and start-up pages need {MebiBytes(unmapped)} MiB");
        }

        PvMemoryLayout layout = new(mapping)
        {
            ListMapping = listMapping,
            Ramdisk = ramdisk,
            RamdiskIsUnmapped = ramdiskIsUnmapped,
            List = list,
            ListFrames = listFrames,
            StartInfo = startInfo,
            Needed = unmapped,
        };
        mapping.PlaceTables(layout.Tables + 1);
        return layout;
    }

    /// <summary>The mapping that holds the elements so far, its own tables, the stack and the padding.</summary>
    private static InitialMapping MapTo(ulong virtualBase, ulong pages)
    {
        ulong tables = 1;
        while (true)
        {
            ulong size = (pages + tables + 1 + PaddingPages) * PageSize;
            ulong end = unchecked(virtualBase + size + MappedAlignment - 1) & ~(MappedAlignment - 1);

            // The end may be the end of the address space, which is 0.
            ulong room = virtualBase < AddressSpaceHalf ? AddressSpaceHalf - virtualBase : 0 - virtualBase;
            if (size > room || unchecked(end - virtualBase) > room)
            {
                throw new DomainBuildException(
                    DomainBuildError.RamdiskTooLarge,
                    $"kernel and ramdisk need {size >> 20} MiB of address space from {virtualBase:x}, where there are {room >> 20} MiB");
            }

            InitialMapping mapping = new(virtualBase, unchecked(end - virtualBase) / PageSize);
            if (mapping.TableCount + 1 <= tables)
            {
                return mapping;
            }

            tables = mapping.TableCount + 1;
        }
    }

    private static void CheckBase(ulong address)
    {
        bool isCanonical = (ulong)((long)(address << 16) >> 16) == address;
        if (!isCanonical || address % PageSize != 0 || address is >= AddressSpaceLayout.MachineToPhysicalStart and < AddressSpaceLayout.HypervisorEnd)
        {
            throw new DomainBuildException(
                DomainBuildError.KernelRequirement, $"the kernel wants to be at {address:x}, which is the hypervisor's, or no address of a page");
        }
    }

    private static ulong PagesOf(ulong bytes) => (bytes + PageSize - 1) / PageSize;

    private static ulong MebiBytes(ulong pages) => (pages + 255) / 256;
}
