using System.Runtime.InteropServices;
using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// What the entries of page tables hold: a present entry of an L1 table refers to a frame, writable or not, and one of the others to a table of the next level, or
/// read-only to one of its own level (linear page tables). Source: Xen's get_page_from_lNe, put_page_from_lNe, promote_lN_table and mod_lN_entry.
/// </summary>
internal sealed class TableEntries(MachineSpace space, PageTypes types)
{
    private const ulong NoFrame = PageTableEntry.AddressMask >> GuestMemory.PageShift;
    private const int Level4 = 4;

    private readonly GuestMemory _memory = space.Memory;

    /// <summary>Checks every entry of a frame that becomes a table and takes the references; on failure none is kept.</summary>
    public int Check(ulong frame, int level)
    {
        types.Spend(PageTableEntry.Count);
        Span<ulong> table = Table(frame);
        space.TryGet(frame, out int index);
        space[index].LinearCount = 0;
        int held = types.HeldCount;
        for (int i = 0; i < table.Length; i++)
        {
            if (level == Level4 && i == AddressSpaceLayout.FirstXenSlot)
            {
                i = AddressSpaceLayout.LastXenSlot;
                continue;
            }

            ulong entry = table[i];
            if ((entry & PageTableEntry.Present) == 0)
            {
                continue;
            }

            ulong adjusted = entry;
            int error = Take(frame, level, ref adjusted, isCheck: true);
            if (error != 0)
            {
                Release(frame, level, table[..i]);
                if (error != PageTypes.Preempted)
                {
                    types.Unhold(held);
                }

                return error;
            }

            if (adjusted != entry)
            {
                table[i] = adjusted;
                _memory.AnnounceWrite((frame << GuestMemory.PageShift) + ((ulong)i * sizeof(ulong)), sizeof(ulong));
            }
        }

        if (level == Level4)
        {
            space.InstallXenSlots(frame);
        }

        // The entries hold their tables themselves now. Holds of earlier tries end with PageTypes.Finish.
        types.Unhold(held);
        return 0;
    }

    /// <summary>Releases what the entries of a table hold, at the end of its use.</summary>
    public void Drop(ulong frame, int level)
    {
        types.Spend(PageTableEntry.Count);
        Release(frame, level, Table(frame));
    }

    /// <inheritdoc cref="PageTypes.Update"/>
    public int Update(ulong address, int level, ulong value, bool keepAccessedDirty)
    {
        ulong frame = address >> GuestMemory.PageShift;
        int slot = (int)(address >> 3) & (PageTableEntry.Count - 1);
        if ((level == Level4 && IsXenSlot(slot)) || !_memory.TryReadUInt64(address, out ulong old))
        {
            return -Errno.Invalid;
        }

        bool isPresent = (value & PageTableEntry.Present) != 0;
        bool isSame = false;
        if (isPresent)
        {
            if (!EntryRules.IsAllowed(level, value))
            {
                return -Errno.Invalid;
            }

            value = EntryRules.Adjust(level, value);
            isSame = (old & PageTableEntry.Present) != 0 && ((old ^ value) & ~EntryRules.Harmless) == 0;
            if (!isSame)
            {
                int error = Take(frame, level, ref value, isCheck: false);
                if (error != 0)
                {
                    return error;
                }
            }
        }

        while (true)
        {
            ulong wanted = keepAccessedDirty ? value | (old & (PageTableEntry.Accessed | PageTableEntry.Dirty)) : value;
            _memory.TryCompareExchange(address, wanted, old, out ulong seen);
            if (seen == old)
            {
                if (level == 1)
                {
                    types.Changes.Note(old, wanted);
                }

                break;
            }

            // Only a CPU's accessed and dirty bits change an entry beside us.
            old = seen;
        }

        if ((old & PageTableEntry.Present) != 0)
        {
            if (level > 1)
            {
                types.FlushDue = true;
                types.Changes.NoteTable(_memory, PageTableEntry.Frame(old), level - 1);
            }

            if (!isSame)
            {
                Drop(frame, level, old);
            }
        }

        return 0;
    }

    /// <inheritdoc cref="PageTypes.CompareUpdate"/>
    public int CompareUpdate(ulong address, ulong value, ulong expected, out ulong seen)
    {
        seen = 0;
        ulong frame = address >> GuestMemory.PageShift;
        bool isPresent = (value & PageTableEntry.Present) != 0;
        bool isSame = false;
        if (isPresent)
        {
            if (!EntryRules.IsAllowed(1, value))
            {
                return -Errno.Invalid;
            }

            value = EntryRules.Adjust(1, value);
            isSame = (expected & PageTableEntry.Present) != 0 && ((expected ^ value) & ~EntryRules.Harmless) == 0;
            if (!isSame)
            {
                int error = Take(frame, 1, ref value, isCheck: false);
                if (error != 0)
                {
                    return error;
                }
            }
        }

        _memory.TryCompareExchange(address, value, expected, out seen);
        if (seen == expected)
        {
            types.Changes.Note(expected, value);
        }

        if (!isSame)
        {
            Drop(frame, 1, seen == expected ? expected : value);
        }

        return 0;
    }

    private static bool IsXenSlot(int slot) => slot is >= AddressSpaceLayout.FirstXenSlot and <= AddressSpaceLayout.LastXenSlot;

    private Span<ulong> Table(ulong frame) => MemoryMarshal.Cast<byte, ulong>(_memory.FrameSpan(frame));

    /// <summary>Releases the first entries of a table, Xen's own left out.</summary>
    private void Release(ulong frame, int level, ReadOnlySpan<ulong> entries)
    {
        for (int i = 0; i < entries.Length; i++)
        {
            if (level == Level4 && IsXenSlot(i))
            {
                continue;
            }

            ulong entry = entries[i];
            if ((entry & PageTableEntry.Present) != 0)
            {
                Drop(frame, level, entry);
            }
        }
    }

    /// <summary>Checks a present entry of a table, adjusts its bits and takes the references it needs.</summary>
    /// <param name="isCheck">Part of a table's check: lower tables that are new are held for a next try.</param>
    private int Take(ulong table, int level, ref ulong entry, bool isCheck)
    {
        if (!EntryRules.IsAllowed(level, entry))
        {
            return -Errno.Invalid;
        }

        entry = EntryRules.Adjust(level, entry);
        ulong frame = PageTableEntry.Frame(entry);
        return level == 1 ? TakePage(frame, (entry & PageTableEntry.Writable) != 0) : TakeTable(table, level, frame, entry, isCheck);
    }

    private int TakePage(ulong frame, bool writable)
    {
        if (!space.TryGet(frame, out int index))
        {
            // Xen: an attempt to map MMIO.
            return frame == NoFrame ? -Errno.Invalid : -Errno.Perm;
        }

        ref FrameInfo info = ref space[index];
        if (info.Owner is not (FrameOwner.Guest or FrameOwner.Shared) || info.References == uint.MaxValue)
        {
            return -Errno.Busy;
        }

        if (writable)
        {
            if (info.TypeCount == 0)
            {
                if (info.Dropping)
                {
                    return -Errno.Busy;
                }

                if (info.WasTable)
                {
                    types.ForgetFormerUse(ref info);
                }

                info.Type = FrameType.Writable;
            }
            else if (info.Type != FrameType.Writable)
            {
                return -Errno.Busy;
            }

            info.TypeCount++;
        }

        info.References++;
        return 0;
    }

    private int TakeTable(ulong table, int level, ulong frame, ulong entry, bool isCheck)
    {
        if (!space.IsGuests(frame) || !space.TryGet(frame, out int index))
        {
            return -Errno.Invalid;
        }

        ref FrameInfo info = ref space[index];
        if (info.TypeCount != 0 && info.Type == (FrameType)level)
        {
            return TakeLinear(table, frame, ref info, entry);
        }

        bool isNew = info.TypeCount == 0;
        if (isNew && types.IsWorkDone)
        {
            return PageTypes.Preempted;
        }

        int error = types.Acquire(frame, (FrameType)(level - 1));
        if (error == 0 && isNew && isCheck)
        {
            types.Hold(ref info, frame);
        }

        return error;
    }

    /// <summary>An entry that maps a table of its own level: allowed read-only, to the table itself or to a complete one that has no such entries.</summary>
    private int TakeLinear(ulong table, ulong frame, ref FrameInfo info, ulong entry)
    {
        if ((entry & PageTableEntry.Writable) != 0)
        {
            return -Errno.Invalid;
        }

        if (frame == table)
        {
            return 0;
        }

        space.TryGet(table, out int index);
        ref FrameInfo holder = ref space[index];
        if (holder.LinearCount is < 0 or short.MaxValue || info.LinearCount is > 0 or short.MinValue || info.References == uint.MaxValue)
        {
            return -Errno.Invalid;
        }

        holder.LinearCount++;
        info.LinearCount--;
        info.TypeCount++;
        info.References++;
        return 0;
    }

    private void Drop(ulong table, int level, ulong entry)
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

        ref FrameInfo info = ref space[index];
        if (level == 1)
        {
            DropPage(ref info, frame, (entry & PageTableEntry.Writable) != 0);
            return;
        }

        if (frame == table)
        {
            return;
        }

        if (info.Type == (FrameType)level)
        {
            space.TryGet(table, out int holder);
            space[holder].LinearCount--;
            info.LinearCount++;
        }

        types.Release(frame);
    }

    private void DropPage(ref FrameInfo info, ulong frame, bool writable)
    {
        if (writable)
        {
            if (info.TypeCount == 0)
            {
                throw new InvalidOperationException($"frame {frame:x} has no writable use to give back");
            }

            if (--info.TypeCount == 0)
            {
                info.StaleUntil = types.Flushes.Now;
            }
        }

        types.Unreference(ref info, frame);
    }
}
