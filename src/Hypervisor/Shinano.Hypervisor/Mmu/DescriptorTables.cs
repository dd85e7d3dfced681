using System.Runtime.InteropServices;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Traps;
using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// The vCPUs' GDT and LDT: which of the guest's frames they are, each held by a use of its type, and their place in the per-domain area, where the CPU reads them.
/// Source: Xen's pv/descriptor-tables.c and pv_map_ldt_shadow_page.
/// </summary>
internal sealed class DescriptorTables(MmuHypercalls mmu)
{
    private const int DescriptorsPerPage = 512;
    private const int LdtPages = 16;
    private const uint LdtEntriesLimit = 8192;

    /// <summary>set_gdt.</summary>
    public long SetGdt(PvVcpu vcpu, in HypercallArguments a)
    {
        uint entries = (uint)a.A2;
        if (entries > AddressSpaceLayout.GuestGdtFrames * DescriptorsPerPage)
        {
            return -Errno.Invalid;
        }

        Span<ulong> frames = stackalloc ulong[AddressSpaceLayout.GuestGdtFrames];
        frames = frames[..(int)((entries + DescriptorsPerPage - 1) / DescriptorsPerPage)];
        return vcpu.Guest.TryRead(a.A1, MemoryMarshal.AsBytes(frames)) ? LoadGdt(vcpu, frames) : -Errno.Fault;
    }

    /// <inheritdoc cref="MmuHypercalls.LoadGdt"/>
    public int LoadGdt(PvVcpu vcpu, ReadOnlySpan<ulong> frames)
    {
        if (frames.Length > AddressSpaceLayout.GuestGdtFrames)
        {
            return -Errno.Invalid;
        }

        lock (mmu.MmuLock)
        {
            for (int i = 0; i < frames.Length; i++)
            {
                if (mmu.Types.Acquire(frames[i], FrameType.Descriptors) != 0)
                {
                    while (--i >= 0)
                    {
                        mmu.Types.Release(frames[i]);
                    }

                    return -Errno.Invalid;
                }
            }

            foreach (ulong old in vcpu.GdtFrames)
            {
                mmu.Types.Release(old);
            }

            vcpu.GdtFrames = frames.ToArray();
            for (int i = 0; i < AddressSpaceLayout.GuestGdtFrames; i++)
            {
                mmu.Space.MapDescriptors(vcpu.Id, i, i < frames.Length ? frames[i] : 0);
            }

            mmu.Flushes.Flush(1UL << vcpu.Id);
        }

        vcpu.ShowDescriptorTables();
        return 0;
    }

    /// <summary>
    /// MMUEXT_SET_LDT. The pages are shown as far as they can be; the others when they are used, see <see cref="TryHandleFault"/>.
    /// </summary>
    public long SetLdt(PvVcpu vcpu, ulong address, uint entries)
    {
        if (entries > LdtEntriesLimit || (entries != 0 && ((address & (GuestMemory.PageSize - 1)) != 0 || !MsrPolicy.IsCanonical(address))))
        {
            return -Errno.Invalid;
        }

        lock (mmu.MmuLock)
        {
            HideLdt(vcpu);
            vcpu.LdtBase = entries == 0 ? 0 : address;
            vcpu.LdtEntries = (int)entries;
            ShowLdt(vcpu);
        }

        vcpu.ShowDescriptorTables();
        return 0;
    }

    /// <summary>The kernel's root changed: the LDT is now what its address leads to there.</summary>
    public void ReloadLdt(PvVcpu vcpu)
    {
        if (vcpu.LdtEntries != 0)
        {
            HideLdt(vcpu);
            ShowLdt(vcpu);
        }
    }

    /// <summary>
    /// A page fault of a descriptor's load in the place where the LDT is shown: shows the page if it can be had, else the guest gets the fault at its own
    /// address of the LDT.
    /// </summary>
    /// <returns>True when the fault was in that place.</returns>
    public bool TryHandleFault(PvVcpu vcpu, ulong linear, PageFaultErrors errors)
    {
        ulong offset = linear - AddressSpaceLayout.LdtStart(vcpu.Id);
        if (offset >= (ulong)vcpu.LdtEntries * sizeof(ulong))
        {
            return false;
        }

        int page = (int)(offset >> GuestMemory.PageShift);
        bool isShown;
        lock (mmu.MmuLock)
        {
            isShown = vcpu.LdtFrames[page] == 0 && TryShowLdtPage(vcpu, page);
        }

        if (!isShown)
        {
            TrapDelivery.InjectPageFault(vcpu, vcpu.LdtBase + offset, errors);
        }

        return true;
    }

    /// <summary>update_descriptor.</summary>
    public long Update(PvVcpu vcpu, in HypercallArguments a)
    {
        ulong descriptor = a.A2;
        if ((a.A1 & 7) != 0 || !DescriptorRules.TryFix(ref descriptor))
        {
            return -Errno.Invalid;
        }

        lock (mmu.MmuLock)
        {
            ulong frame = a.A1 >> GuestMemory.PageShift;
            if (!mmu.Space.IsGuests(frame) || !mmu.Space.TryGet(frame, out int index))
            {
                return -Errno.Invalid;
            }

            ref FrameInfo info = ref mmu.Space[index];
            FrameType type = info.TypeCount > 0 && info.Type == FrameType.Descriptors ? FrameType.Descriptors : FrameType.Writable;
            int error = mmu.Types.Acquire(frame, type);
            if (error == 0)
            {
                mmu.Space.Memory.TryWriteUInt64(a.A1, descriptor);
                mmu.Types.Release(frame);
            }

            return error;
        }
    }

    private void ShowLdt(PvVcpu vcpu)
    {
        int pages = (vcpu.LdtEntries + DescriptorsPerPage - 1) / DescriptorsPerPage;
        for (int page = 0; page < pages; page++)
        {
            TryShowLdtPage(vcpu, page);
        }
    }

    private bool TryShowLdtPage(PvVcpu vcpu, int page)
    {
        if (!mmu.TryFindEntry(vcpu.KernelRoot, vcpu.LdtBase + ((ulong)page << GuestMemory.PageShift), out ulong entry)
            || !mmu.Space.Memory.TryReadUInt64(entry, out ulong leaf)
            || (leaf & PageTableEntry.Present) == 0
            || mmu.Types.Acquire(PageTableEntry.Frame(leaf), FrameType.Descriptors) != 0)
        {
            return false;
        }

        vcpu.LdtFrames[page] = PageTableEntry.Frame(leaf);
        mmu.Space.MapDescriptors(vcpu.Id, AddressSpaceLayout.FirstLdtPage + page, vcpu.LdtFrames[page]);
        return true;
    }

    private void HideLdt(PvVcpu vcpu)
    {
        bool any = false;
        for (int page = 0; page < LdtPages; page++)
        {
            ulong frame = vcpu.LdtFrames[page];
            if (frame != 0)
            {
                vcpu.LdtFrames[page] = 0;
                mmu.Space.MapDescriptors(vcpu.Id, AddressSpaceLayout.FirstLdtPage + page, 0);
                mmu.Types.Release(frame);
                any = true;
            }
        }

        if (any)
        {
            mmu.Flushes.Flush(1UL << vcpu.Id);
        }
    }
}
