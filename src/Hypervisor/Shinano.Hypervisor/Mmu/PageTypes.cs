using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// Counts the uses of frames and checks page tables, as Xen's get_page_type and its kin do: a frame is a page table of one level, or descriptors, or
/// writable, and never two of these at once. Callers hold the MMU lock.
/// </summary>
/// <param name="space">The domain's frames.</param>
/// <param name="flushAll">Has every vCPU drop its translations; on return none uses an old one.</param>
public sealed class PageTypes(MachineSpace space, Action flushAll)
{
    /// <summary>Software bit 52 marks pages that the guest's kernel sees as its own. Source: Xen's _PAGE_GUEST_KERNEL.</summary>
    private const ulong GuestKernel = 1UL << 52;

    private readonly GuestMemory _memory = space.Memory;

    /// <summary>Flushes so far, from 1: a new frame's 0 is none of them.</summary>
    private uint _flushes = 1;

    /// <summary>Takes a reference of a type; a frame without references of its old type changes over, page tables after a check of every entry.</summary>
    /// <returns>0, or a negated <see cref="Errno"/>.</returns>
    public int Acquire(ulong frame, FrameType type)
    {
        if (!space.IsGuests(frame) || !space.TryGet(frame, out int index))
        {
            return -Errno.Invalid;
        }

        ref FrameInfo info = ref space[index];
        if (info.TypeCount > 0)
        {
            if (info.Type != type)
            {
                return -Errno.Busy;
            }

            info.TypeCount++;
            return 0;
        }

        if (type != FrameType.Writable && info.Owner != FrameOwner.Guest)
        {
            return -Errno.Invalid;
        }

        if (type != FrameType.Writable && info.WritableUntil == _flushes)
        {
            // Guests leave this flush to the hypervisor: without it a table could be written past its checks (Xen: get_page_type).
            flushAll();
            _flushes++;
        }

        info.Type = type;
        info.TypeCount = 1;
        int error = type switch
        {
            FrameType.L1 or FrameType.L2 or FrameType.L3 or FrameType.L4 => ValidateTable(frame, (int)type),
            FrameType.Descriptors => DescriptorRules.FixUpFrame(_memory, frame),
            _ => 0,
        };
        if (error != 0)
        {
            space[index].Type = FrameType.None;
            space[index].TypeCount = 0;
        }

        return error;
    }

    /// <summary>Gives a reference back; the last one of a page table releases what its entries hold.</summary>
    public void Release(ulong frame)
    {
        if (!space.TryGet(frame, out int index) || space[index].TypeCount == 0)
        {
            return;
        }

        if (--space[index].TypeCount != 0)
        {
            return;
        }

        if (space[index].Type == FrameType.Writable)
        {
            space[index].WritableUntil = _flushes;
        }
        else if (space[index].Type is >= FrameType.L1 and <= FrameType.L4)
        {
            int level = (int)space[index].Type;
            space[index].Type = FrameType.None;
            int count = level == 4 ? AddressSpaceLayout.FirstXenSlot : PageTableEntry.Count;
            ReleaseEntries(frame, level, 0, count);
            if (level == 4)
            {
                ReleaseEntries(frame, level, AddressSpaceLayout.LastXenSlot + 1, PageTableEntry.Count);
            }
        }
    }

    /// <summary>Replaces one entry of a validated page table.</summary>
    /// <param name="address">Machine address of the entry.</param>
    /// <param name="keepAccessedDirty">MMU_PT_UPDATE_PRESERVE_AD.</param>
    /// <returns>0, or a negated <see cref="Errno"/> with nothing changed.</returns>
    public int Update(ulong address, int level, ulong value, bool keepAccessedDirty)
    {
        int slot = (int)(address >> 3) & (PageTableEntry.Count - 1);
        if (level == 4 && slot is >= AddressSpaceLayout.FirstXenSlot and <= AddressSpaceLayout.LastXenSlot)
        {
            return -Errno.Perm;
        }

        if (!_memory.TryReadUInt64(address, out ulong old))
        {
            return -Errno.Invalid;
        }

        int error = TakeEntry(level, ref value);
        if (error != 0)
        {
            return error;
        }

        while (true)
        {
            ulong wanted = value;
            if (keepAccessedDirty && (value & PageTableEntry.Present) != 0)
            {
                wanted |= old & (PageTableEntry.Accessed | PageTableEntry.Dirty);
            }

            _memory.TryCompareExchange(address, wanted, old, out ulong seen);
            if (seen == old)
            {
                break;
            }

            // Only a CPU's accessed and dirty bits change an entry beside us.
            old = seen;
        }

        DropEntry(level, old);
        return 0;
    }

    /// <summary>Exchanges an entry if it still is <paramref name="expected"/>, for emulated CMPXCHG.</summary>
    public int CompareUpdate(ulong address, int level, ulong value, ulong expected, out ulong seen)
    {
        seen = 0;
        int slot = (int)(address >> 3) & (PageTableEntry.Count - 1);
        if (level == 4 && slot is >= AddressSpaceLayout.FirstXenSlot and <= AddressSpaceLayout.LastXenSlot)
        {
            return -Errno.Perm;
        }

        int error = TakeEntry(level, ref value);
        if (error != 0)
        {
            return error;
        }

        _memory.TryCompareExchange(address, value, expected, out seen);
        DropEntry(level, seen == expected ? expected : value);
        return 0;
    }

    private int ValidateTable(ulong frame, int level)
    {
        for (int i = 0; i < PageTableEntry.Count; i++)
        {
            if (level == 4 && i == AddressSpaceLayout.FirstXenSlot)
            {
                i = AddressSpaceLayout.LastXenSlot;
                continue;
            }

            ulong address = (frame << 12) + ((ulong)i * 8);
            _memory.TryReadUInt64(address, out ulong entry);
            if ((entry & PageTableEntry.Present) == 0)
            {
                continue;
            }

            ulong adjusted = entry;
            int error = TakeEntry(level, ref adjusted);
            if (error != 0)
            {
                if (level == 4 && i > AddressSpaceLayout.LastXenSlot)
                {
                    ReleaseEntries(frame, level, AddressSpaceLayout.LastXenSlot + 1, i);
                    i = AddressSpaceLayout.FirstXenSlot;
                }

                ReleaseEntries(frame, level, 0, i);
                return error;
            }

            if (adjusted != entry)
            {
                _memory.TryWriteUInt64(address, adjusted);
            }
        }

        if (level == 4)
        {
            space.InstallXenSlots(frame);
        }

        return 0;
    }

    private void ReleaseEntries(ulong frame, int level, int from, int to)
    {
        for (int i = from; i < to; i++)
        {
            _memory.TryReadUInt64((frame << 12) + ((ulong)i * 8), out ulong entry);
            DropEntry(level, entry);
        }
    }

    /// <summary>Checks an entry, adjusts its bits as Xen's adjust_guest_lNe, and takes the references it needs.</summary>
    private int TakeEntry(int level, ref ulong entry)
    {
        if ((entry & PageTableEntry.Present) == 0)
        {
            return 0;
        }

        ulong frame = PageTableEntry.Frame(entry);
        if (level > 1)
        {
            if ((entry & PageTableEntry.LargePage) != 0)
            {
                // No superpages for PV guests (Xen's L2_DISALLOW_MASK without opt_allow_superpage).
                return -Errno.Invalid;
            }

            entry |= PageTableEntry.User;
            int error = Acquire(frame, (FrameType)(level - 1));
            if (error != 0)
            {
                return error;
            }

            space.TryGet(frame, out int table);
            space[table].References++;
            return 0;
        }

        if (!space.IsGuests(frame) || !space.TryGet(frame, out int index))
        {
            return -Errno.Invalid;
        }

        if ((entry & PageTableEntry.Writable) != 0)
        {
            int error = Acquire(frame, FrameType.Writable);
            if (error != 0)
            {
                return error;
            }
        }

        space[index].References++;
        if ((entry & PageTableEntry.User) == 0)
        {
            entry |= GuestKernel | PageTableEntry.User;
        }
        else if ((entry & GuestKernel) == 0)
        {
            entry |= PageTableEntry.Global;
        }

        return 0;
    }

    private void DropEntry(int level, ulong entry)
    {
        if ((entry & PageTableEntry.Present) == 0)
        {
            return;
        }

        ulong frame = PageTableEntry.Frame(entry);
        if (!space.TryGet(frame, out int index))
        {
            return;
        }

        space[index].References--;
        if (level > 1 || (entry & PageTableEntry.Writable) != 0)
        {
            Release(frame);
        }
    }
}
