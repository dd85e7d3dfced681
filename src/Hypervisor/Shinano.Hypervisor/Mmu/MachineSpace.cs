using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// A domain's machine space: which frames are the guest's, which are shared with it and which are the hypervisor's own, and the M2P table.
/// </summary>
/// <remarks>
/// <code>
/// FirstFrame                     + maximum + slack
/// | guest frames ... | slack for contiguous exchanges | shared frames | M2P table | page tables of Xen's slots |
/// </code>
/// Frame numbers are never equal to pseudo-physical ones, and runs of the guest's frames are not runs of machine frames, so that a kernel which
/// confuses the two fails here as it would on Xen. Callers hold the MMU lock.
/// </remarks>
public sealed class MachineSpace
{
    /// <summary>Number of the first machine frame.</summary>
    public const ulong FirstFrame = 0x100000;

    private const ulong Slack = 1024;
    private const ulong SharedFrames = 256;
    private const ulong InvalidM2P = ~0UL;
    private const ulong TableRights = PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User | PageTableEntry.Accessed;

    private readonly FrameInfo[] _frames;
    private readonly SortedSet<ulong> _free = [];
    private readonly ulong _guestFrames;
    private readonly ulong _firstM2PFrame;
    private readonly ulong[] _xenSlots = new ulong[AddressSpaceLayout.LastXenSlot - AddressSpaceLayout.FirstXenSlot + 1];
    private readonly ulong _descriptorTables;
    private ulong _nextShared;

    private MachineSpace(GuestMemory memory, ulong guestFrames, ulong firstM2PFrame, ulong m2pFrames, int vcpus)
    {
        Memory = memory;
        MaximumPages = guestFrames - Slack;
        _guestFrames = guestFrames;
        _firstM2PFrame = firstM2PFrame;
        _frames = new FrameInfo[memory.FrameCount];
        _nextShared = FirstFrame + guestFrames;
        for (ulong frame = FirstFrame; frame < FirstFrame + guestFrames; frame++)
        {
            _free.Add(frame);
        }

        ulong next = firstM2PFrame + m2pFrames;
        memory.AddRam(firstM2PFrame, m2pFrames, FrameFlags.ReadOnly);
        Own(firstM2PFrame, m2pFrames, FrameOwner.Hypervisor);
        for (ulong i = 0; i < m2pFrames; i++)
        {
            memory.FrameSpan(firstM2PFrame + i).Fill(0xFF);
        }

        ulong Table()
        {
            memory.AddRam(next, 1, FrameFlags.ReadOnly);
            Own(next, 1, FrameOwner.Hypervisor);
            return next++;
        }

        // The M2P table, for the guest to read.
        ulong m2pL3 = Table();
        _xenSlots[0] = (m2pL3 << 12) | TableRights;
        ulong l2 = 0;
        ulong l1 = 0;
        ulong start = AddressSpaceLayout.MachineToPhysicalStart + (FirstFrame * 8);
        for (ulong i = 0; i < m2pFrames; i++)
        {
            ulong address = start + (i << 12);
            if (l2 == 0 || PageTableEntry.Index(address, 2) == 0 && PageTableEntry.Index(address, 1) == 0)
            {
                l2 = Table();
                SetEntry(m2pL3, PageTableEntry.Index(address, 3), (l2 << 12) | TableRights);
            }

            if (l1 == 0 || PageTableEntry.Index(address, 1) == 0)
            {
                l1 = Table();
                SetEntry(l2, PageTableEntry.Index(address, 2), (l1 << 12) | TableRights);
            }

            SetEntry(l1, PageTableEntry.Index(address, 1), ((firstM2PFrame + i) << 12)
                | PageTableEntry.Present | PageTableEntry.User | PageTableEntry.Accessed | PageTableEntry.NoExecute);
        }

        // The vCPUs' descriptor tables: supervisor pages, which guest code cannot reach but the CPU's own descriptor reads can.
        const ulong Supervisor = TableRights & ~PageTableEntry.User;
        ulong domainL3 = Table();
        ulong domainL2 = Table();
        _xenSlots[AddressSpaceLayout.PerDomainSlot - AddressSpaceLayout.FirstXenSlot] = (domainL3 << 12) | Supervisor;
        SetEntry(domainL3, 0, (domainL2 << 12) | Supervisor);
        int tables = ((vcpus * AddressSpaceLayout.DescriptorFramesPerVcpu) + PageTableEntry.Count - 1) / PageTableEntry.Count;
        _descriptorTables = next;
        for (int i = 0; i < tables; i++)
        {
            SetEntry(domainL2, i, (Table() << 12) | Supervisor);
        }

        ReservedDescriptors = Table();
        WriteReservedDescriptors();
        for (int vcpu = 0; vcpu < vcpus; vcpu++)
        {
            MapDescriptors(vcpu, AddressSpaceLayout.GuestGdtFrames, ReservedDescriptors);
        }
    }

    public GuestMemory Memory { get; }

    /// <summary>Most pages the domain may have (mem-max).</summary>
    public ulong MaximumPages { get; set; }

    /// <summary>The most <see cref="MaximumPages"/> can be.</summary>
    public ulong BuiltMaximum => _guestFrames - Slack;

    /// <summary>Pages the domain has.</summary>
    public ulong TotalPages { get; private set; }

    /// <summary>Highest machine frame number that the guest may meet, plus one.</summary>
    public ulong EndFrame => FirstFrame + (ulong)_frames.Length;

    /// <summary>The frame with Xen's own descriptors, seen at selector 0xE000 and up.</summary>
    private ulong ReservedDescriptors { get; }

    /// <summary>Makes the space of a domain, all guest frames free.</summary>
    /// <param name="maximumPages">Most 4 KiB pages the domain may ever have.</param>
    public static MachineSpace Create(ulong maximumPages, int vcpus)
    {
        ulong guest = maximumPages + Slack;
        ulong shared = guest + SharedFrames;
        ulong m2p = ((shared + 4096 + (shared / 512)) * 8 / 4096) + 1;
        ulong tables = (m2p / 512) + (m2p / (512 * 512)) + 16 + (ulong)(vcpus * AddressSpaceLayout.DescriptorFramesPerVcpu / PageTableEntry.Count);
        GuestMemory memory = new(FirstFrame, (long)(shared + m2p + tables));
        return new MachineSpace(memory, guest, FirstFrame + shared, m2p, vcpus);
    }

    /// <summary>The frame's record; false outside the window.</summary>
    public bool TryGet(ulong frame, out int index)
    {
        ulong offset = frame - FirstFrame;
        index = (int)offset;
        return offset < (ulong)_frames.Length;
    }

    /// <summary>The record of a frame that <see cref="TryGet"/> found.</summary>
    public ref FrameInfo this[int index] => ref _frames[index];

    /// <summary>Whether the guest may map the frame.</summary>
    public bool IsGuests(ulong frame) => TryGet(frame, out int index) && _frames[index].Owner is FrameOwner.Guest or FrameOwner.Shared
        && _frames[(int)(frame - FirstFrame)].Owner != FrameOwner.Nobody;

    /// <summary>The machine frame in which the builder puts an initial pseudo-physical page: chunk by chunk mirrored.</summary>
    public static ulong InitialFrame(ulong pfn, ulong pages) =>
        FirstFrame + ((pfn | 511) < pages ? pfn ^ 511 : pfn);

    /// <summary>Gives the guest a certain free frame, as the builder does.</summary>
    public void Claim(ulong frame, ulong pfn)
    {
        if (!_free.Remove(frame))
        {
            throw new InvalidOperationException($"machine frame {frame:x} is not free");
        }

        Give(frame, pfn);
    }

    /// <summary>Gives the guest a run of 2^order free frames, aligned to its size.</summary>
    /// <returns>The first frame, or 0 when there is no such run or the domain has its maximum.</returns>
    public ulong Allocate(int order, bool exchange = false)
    {
        ulong count = 1UL << order;
        if (!exchange && TotalPages + count > MaximumPages)
        {
            return 0;
        }

        ulong run = 0;
        ulong start = 0;
        foreach (ulong frame in _free)
        {
            if (run == 0 || frame != start + run)
            {
                start = frame;
                run = 0;
                if ((frame & (count - 1)) != 0)
                {
                    continue;
                }
            }

            if (++run == count)
            {
                for (ulong i = 0; i < count; i++)
                {
                    _free.Remove(start + i);
                    Give(start + i, InvalidM2P);
                }

                return start;
            }
        }

        return 0;
    }

    /// <summary>Takes a frame from the guest; its content is dropped. The caller checked that nothing refers to it.</summary>
    public void Free(ulong frame)
    {
        _frames[(int)(frame - FirstFrame)] = default;
        Memory.RemoveRam(frame);
        SetM2P(frame, InvalidM2P);
        _free.Add(frame);
        TotalPages--;
    }

    /// <summary>A new zeroed frame that hypervisor and guest share. The number of such frames is bounded.</summary>
    /// <returns>False when the domain has used up its share.</returns>
    public bool TryAllocateShared(out Mfn frame)
    {
        frame = new Mfn(_nextShared);
        if (_nextShared == FirstFrame + _guestFrames + SharedFrames)
        {
            return false;
        }

        Memory.AddRam(_nextShared, 1);
        Own(_nextShared, 1, FrameOwner.Shared);
        _nextShared++;
        return true;
    }

    /// <summary>Records the pseudo-physical number that the guest gave a frame.</summary>
    public void SetM2P(ulong frame, ulong pfn) => Memory.TryWriteUInt64((_firstM2PFrame << 12) + ((frame - FirstFrame) * 8), pfn);

    /// <summary>The pseudo-physical number of a frame, all ones when it has none.</summary>
    public ulong GetM2P(ulong frame) =>
        Memory.TryReadUInt64((_firstM2PFrame << 12) + ((frame - FirstFrame) * 8), out ulong pfn) ? pfn : InvalidM2P;

    /// <summary>Writes Xen's slots into a top-level table.</summary>
    public void InstallXenSlots(ulong l4)
    {
        for (int i = 0; i < _xenSlots.Length; i++)
        {
            SetEntry(l4, AddressSpaceLayout.FirstXenSlot + i, _xenSlots[i]);
        }
    }

    /// <summary>Shows a frame in a vCPU's descriptor area: pages 0 to 15 are its GDT, 16 to 31 its LDT; frame 0 removes.</summary>
    public void MapDescriptors(int vcpu, int page, ulong frame)
    {
        int entry = (vcpu * AddressSpaceLayout.DescriptorFramesPerVcpu) + page;
        SetEntry(
            _descriptorTables + (ulong)(entry / PageTableEntry.Count),
            entry % PageTableEntry.Count,
            frame == 0 ? 0 : (frame << 12) | PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.Accessed | PageTableEntry.Dirty);
    }

    private void Give(ulong frame, ulong pfn)
    {
        Memory.AddRam(frame, 1);
        _frames[(int)(frame - FirstFrame)] = new FrameInfo { Owner = FrameOwner.Guest };
        SetM2P(frame, pfn);
        TotalPages++;
    }

    private void Own(ulong first, ulong count, FrameOwner owner)
    {
        for (ulong i = 0; i < count; i++)
        {
            _frames[(int)(first + i - FirstFrame)] = new FrameInfo { Owner = owner };
        }
    }

    private void SetEntry(ulong table, int index, ulong value) => Memory.TryWriteUInt64((table << 12) + ((ulong)index * 8), value);

    /// <summary>FLAT_RING3_CS32, _DS32 and _CS64 at their selectors 0xE023, 0xE02B and 0xE033.</summary>
    private void WriteReservedDescriptors()
    {
        SetEntry(ReservedDescriptors, 4, 0x00CF_FB00_0000_FFFF);
        SetEntry(ReservedDescriptors, 5, 0x00CF_F300_0000_FFFF);
        SetEntry(ReservedDescriptors, 6, 0x00AF_FB00_0000_FFFF);
    }
}
