using Shinano.Memory;
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

    /// <summary>Frames of one 2 MiB page of the host: initial frames are mirrored inside of it.</summary>
    private const ulong MirrorMask = 511;

    private readonly FrameInfo[] _frames;
    private readonly FreeFrames _free;
    private readonly FrameRuns _leaving = new();
    private readonly ulong _guestFrames;
    private readonly ulong _firstM2PFrame;
    private readonly HypervisorTables _tables;
    private ulong _nextShared;
    private bool _collects;

    private MachineSpace(GuestMemory memory, ulong guestFrames, ulong firstM2PFrame, ulong m2pFrames, int vcpus)
    {
        Memory = memory;
        MaximumPages = guestFrames - Slack;
        _guestFrames = guestFrames;
        _firstM2PFrame = firstM2PFrame;
        _frames = new FrameInfo[memory.FrameCount];
        _nextShared = FirstFrame + guestFrames;
        _free = new FreeFrames((int)guestFrames);
        Own(firstM2PFrame, m2pFrames, FrameOwner.Hypervisor, FrameFlags.ReadOnly);
        for (ulong i = 0; i < m2pFrames; i++)
        {
            memory.FrameSpan(firstM2PFrame + i).Fill(0xFF);
        }

        ulong next = firstM2PFrame + m2pFrames;
        _tables = new HypervisorTables(memory, firstM2PFrame, m2pFrames, vcpus, () =>
        {
            Own(next, 1, FrameOwner.Hypervisor, FrameFlags.ReadOnly);
            return next++;
        });
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

    /// <summary>First frame of the M2P table.</summary>
    public ulong FirstM2PFrame => _firstM2PFrame;

    /// <summary>
    /// VMASST_TYPE_m2p_strict: top-level tables show the M2P table until they serve user mode. Otherwise they show it from their first use for the kernel.
    /// </summary>
    public bool HidesM2PFromUserMode { get; set; }

    /// <summary>Makes the space of a domain, all guest frames free.</summary>
    /// <param name="maximumPages">Most 4 KiB pages the domain may ever have.</param>
    public static MachineSpace Create(ulong maximumPages, int vcpus)
    {
        ulong guest = maximumPages + Slack;
        ulong shared = guest + SharedFrames;

        // The table covers itself and the tables behind it, which are less than a hundredth of it.
        ulong m2p = ((shared + 4096 + (shared / 256)) * sizeof(ulong) / GuestMemory.PageSize) + 1;
        GuestMemory memory = new(FirstFrame, (long)(shared + m2p + HypervisorTables.FramesFor(m2p, vcpus)));
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

    /// <summary>First frame behind the guest's part: the first of those that hypervisor and guest share.</summary>
    public ulong FirstSharedFrame => FirstFrame + _guestFrames;

    /// <summary>The shared frame that is taken next: those before it exist.</summary>
    public ulong NextSharedFrame => _nextShared;

    /// <summary>Whether the guest may map the frame.</summary>
    public bool IsGuests(ulong frame) => TryGet(frame, out int index) && _frames[index].Owner is FrameOwner.Guest or FrameOwner.Shared;

    /// <summary>The machine frame in which the builder puts an initial pseudo-physical page: chunk by chunk mirrored.</summary>
    public static ulong InitialFrame(ulong pfn, ulong pages) =>
        FirstFrame + ((pfn | MirrorMask) < pages ? pfn ^ MirrorMask : pfn);

    /// <summary>Gives a guest that has no memory its initial pages, at their <see cref="InitialFrame"/>.</summary>
    public void ClaimInitial(ulong pages)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(pages, MaximumPages);
        Memory.AddRam(FirstFrame, pages);
        for (ulong pfn = 0; pfn < pages; pfn++)
        {
            ulong frame = InitialFrame(pfn, pages);
            int index = (int)(frame - FirstFrame);
            if (!_free.TryTake(index))
            {
                throw new InvalidOperationException($"machine frame {frame:x} is not free");
            }

            _frames[index].Owner = FrameOwner.Guest;
            SetM2P(frame, pfn);
        }

        TotalPages += pages;
    }

    /// <summary>Gives a guest that is being restored a frame, empty, that it had when it was saved.</summary>
    /// <returns>False when the frame is not in the guest's part, is its already, or it has its maximum.</returns>
    public bool TryClaim(ulong frame)
    {
        ulong offset = frame - FirstFrame;
        if (offset >= _guestFrames || TotalPages >= BuiltMaximum || !_free.TryTake((int)offset))
        {
            return false;
        }

        Memory.AddRam(frame, 1);
        _frames[offset] = new FrameInfo { Owner = FrameOwner.Guest };
        TotalPages++;
        return true;
    }

    /// <summary>Gives the guest a run of 2^order free frames, aligned to its size.</summary>
    /// <param name="exchange">In exchange for others, which are taken back afterwards: the maximum does not count.</param>
    /// <returns>The first frame, or 0 when there is no such run or the domain has its maximum.</returns>
    public ulong Allocate(int order, bool exchange = false)
    {
        ulong count = 1UL << order;
        if (!exchange && (TotalPages > MaximumPages || count > MaximumPages - TotalPages))
        {
            return 0;
        }

        int run = _free.TakeRun(order, FirstFrame);
        if (run < 0)
        {
            return 0;
        }

        ulong first = FirstFrame + (ulong)run;
        Memory.AddRam(first, count);
        for (int i = run; i < run + (int)count; i++)
        {
            _frames[i] = new FrameInfo { Owner = FrameOwner.Guest };
        }

        TotalPages += count;
        return first;
    }

    /// <summary>Takes a frame from the guest; its content is dropped. The caller checked that nothing refers to it.</summary>
    public void Free(ulong frame)
    {
        _frames[(int)(frame - FirstFrame)] = default;
        SetM2P(frame, InvalidM2P);
        TotalPages--;
        _leaving.Add(frame);
        if (!_collects)
        {
            GiveToHost();
        }
    }

    /// <summary>
    /// Until the batch is disposed, frames that are freed are collected, then given to the host run by run; they cannot be allocated meanwhile. For hypercalls that
    /// free many: a call of the host for each page would take most of a balloon's time.
    /// </summary>
    public FreeBatch CollectFrees()
    {
        _collects = true;
        return new FreeBatch(this);
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

        Own(_nextShared, 1, FrameOwner.Shared, FrameFlags.None);
        _nextShared++;
        return true;
    }

    /// <summary>Records the pseudo-physical number that the guest gave a frame of the window.</summary>
    public void SetM2P(ulong frame, ulong pfn) => Memory.TryWriteUInt64((_firstM2PFrame << GuestMemory.PageShift) + ((frame - FirstFrame) * sizeof(ulong)), pfn);

    /// <summary>The pseudo-physical number of a frame of the window, all ones when it has none.</summary>
    public ulong GetM2P(ulong frame) =>
        Memory.TryReadUInt64((_firstM2PFrame << GuestMemory.PageShift) + ((frame - FirstFrame) * sizeof(ulong)), out ulong pfn) ? pfn : InvalidM2P;

    /// <summary>Writes Xen's slots into a new top-level table.</summary>
    public void InstallXenSlots(ulong l4) => _tables.Install(l4, HidesM2PFromUserMode);

    /// <summary>A top-level table is about to serve a mode for the first time: shows or hides the M2P table there. Source: public/xen.h: VMASST_TYPE_m2p_strict.</summary>
    public void PrepareRoot(ulong l4, bool user)
    {
        if (user == HidesM2PFromUserMode)
        {
            _tables.ShowM2P(l4, !user);
        }
    }

    /// <summary>Shows a frame in a vCPU's descriptor area: pages 0 to 15 are its GDT, 16 to 31 its LDT; frame 0 removes.</summary>
    public void MapDescriptors(int vcpu, int page, ulong frame) => _tables.ShowDescriptors(vcpu, page, frame);

    private void GiveToHost()
    {
        foreach ((ulong first, ulong count) in _leaving.Take())
        {
            Memory.RemoveRam(first, count);
            for (ulong i = 0; i < count; i++)
            {
                _free.Put((int)(first + i - FirstFrame));
            }
        }
    }

    private void Own(ulong first, ulong count, FrameOwner owner, FrameFlags flags)
    {
        Memory.AddRam(first, count, flags);
        foreach (ref FrameInfo info in _frames.AsSpan((int)(first - FirstFrame), (int)count))
        {
            info = new FrameInfo { Owner = owner };
        }
    }

    /// <summary>Frames that are freed together; see <see cref="CollectFrees"/>.</summary>
    public readonly ref struct FreeBatch(MachineSpace space)
    {
        public void Dispose()
        {
            space._collects = false;
            space.GiveToHost();
        }
    }
}
