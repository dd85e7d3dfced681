using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// Counts the uses of frames, as Xen's get_page_type and its kin do: a frame is a page table of one level, or descriptors, or writable, and never two of
/// these at once. Callers hold the MMU lock.
/// </summary>
/// <remarks>
/// Work is bounded: <see cref="BeginWork"/> gives a hypercall its share. A table whose check does not fit into it is refused with <see cref="Preempted"/>, and
/// the tables below it that were checked already are held until the next try, which therefore gets further. Tables that lose their last use are taken
/// apart by <see cref="Settle"/>, which says when the share is used up; the hypercall is then restarted.
/// </remarks>
public sealed class PageTypes
{
    /// <summary>A result besides 0 and the errors of <see cref="Errno"/>: call again (Xen's -ERESTART, which no guest sees).</summary>
    public const int Preempted = -85;

    /// <summary>Entries looked at in one hypercall: a few milliseconds.</summary>
    private const int WorkPerCall = 512 * 1024;

    private readonly MachineSpace _space;
    private readonly TableEntries _entries;

    /// <summary>Tables without uses whose entries are still to be released.</summary>
    private readonly Stack<ulong> _dropping = new();

    /// <summary>Checked tables that are held for a check that was preempted.</summary>
    private readonly List<ulong> _held = [];
    private int _work = WorkPerCall;

    public PageTypes(MachineSpace space, TranslationFlushes flushes)
    {
        _space = space;
        Flushes = flushes;
        _entries = new TableEntries(space, this);
    }

    /// <summary>A translation may have changed above the last level: a flush of all vCPUs is due before the guest goes on.</summary>
    public bool FlushDue { get; set; }

    internal TranslationFlushes Flushes { get; }

    /// <summary>Changes of last-level entries.</summary>
    internal LeafChanges Changes => Flushes.Changes;

    /// <summary>Whether the present hypercall's share is used up.</summary>
    internal bool IsWorkDone => _work <= 0;

    /// <summary>A hypercall begins.</summary>
    public void BeginWork() => _work = WorkPerCall;

    /// <summary>Takes a use of a type; a frame without uses changes over, page tables after a check of every entry.</summary>
    /// <returns>0, -EINVAL (not the domain's, in another use, bad content), -EPERM or -EBUSY from an entry, or <see cref="Preempted"/>.</returns>
    public int Acquire(ulong frame, FrameType type)
    {
        if (!_space.IsGuests(frame) || !_space.TryGet(frame, out int index))
        {
            return -Errno.Invalid;
        }

        ref FrameInfo info = ref _space[index];
        if (info.References == uint.MaxValue)
        {
            return -Errno.Invalid;
        }

        if (info.TypeCount != 0)
        {
            if (info.Type != type)
            {
                return -Errno.Invalid;
            }

            info.TypeCount++;
            info.References++;
            return 0;
        }

        if (info.Dropping || (type != FrameType.Writable && info.Owner != FrameOwner.Guest))
        {
            return -Errno.Invalid;
        }

        if (type != FrameType.Writable || info.WasTable)
        {
            ForgetFormerUse(ref info);
        }

        info.Type = type;
        info.TypeCount = 1;
        info.References++;
        int error = type switch
        {
            FrameType.L1 or FrameType.L2 or FrameType.L3 or FrameType.L4 => _entries.Check(frame, (int)type),
            FrameType.Descriptors => DescriptorRules.FixUpFrame(_space.Memory, frame),
            _ => 0,
        };
        if (error != 0)
        {
            info.Type = FrameType.None;
            info.TypeCount = 0;
            Unreference(ref info, frame);
        }

        return error;
    }

    /// <summary>Gives a use back; the last one of a page table releases what its entries hold, by and by (<see cref="Settle"/>).</summary>
    public void Release(ulong frame)
    {
        if (!_space.TryGet(frame, out int index))
        {
            return;
        }

        ref FrameInfo info = ref _space[index];
        if (info.TypeCount == 0)
        {
            throw new InvalidOperationException($"frame {frame:x} has no use to give back");
        }

        if (--info.TypeCount == 0)
        {
            switch (info.Type)
            {
                case FrameType.L1:
                    _entries.Drop(frame, 1);
                    EndTable(ref info);
                    break;
                case FrameType.L2 or FrameType.L3 or FrameType.L4:
                    // Its reference stays until the entries are released.
                    info.Dropping = true;
                    _dropping.Push(frame);
                    return;
                case FrameType.Writable:
                    info.StaleUntil = Flushes.Now;
                    break;
            }
        }

        Unreference(ref info, frame);
    }

    /// <summary>After the last operation of a try that was not preempted: nothing is held for another try any more. Then as <see cref="Settle"/>.</summary>
    /// <returns>False when the call is to be restarted to go on.</returns>
    public bool Finish()
    {
        Unhold(0);
        return Settle();
    }

    /// <summary>Takes tables without uses apart as far as the share of work goes. Due before any other operation of a hypercall.</summary>
    /// <returns>False when there is more to do.</returns>
    public bool Settle()
    {
        while (_dropping.Count > 0)
        {
            if (IsWorkDone)
            {
                return false;
            }

            ulong frame = _dropping.Pop();
            _space.TryGet(frame, out int index);
            ref FrameInfo info = ref _space[index];
            _entries.Drop(frame, (int)info.Type);
            EndTable(ref info);
            info.Dropping = false;
            Unreference(ref info, frame);
        }

        return true;
    }

    /// <summary>Replaces one entry of a checked page table.</summary>
    /// <param name="address">Machine address of the entry.</param>
    /// <param name="keepAccessedDirty">MMU_PT_UPDATE_PRESERVE_AD.</param>
    /// <returns>0, a negated <see cref="Errno"/> or <see cref="Preempted"/> with nothing changed.</returns>
    public int Update(ulong address, int level, ulong value, bool keepAccessedDirty) => _entries.Update(address, level, value, keepAccessedDirty);

    /// <summary>Exchanges an L1 entry if it still is <paramref name="expected"/>, for emulated writes.</summary>
    public int CompareUpdate(ulong address, ulong value, ulong expected, out ulong seen) => _entries.CompareUpdate(address, value, expected, out seen);

    /// <summary>Takes a frame back from the guest: at once, or with its last reference.</summary>
    /// <returns>0 or -EINVAL.</returns>
    public int GiveBack(ulong frame)
    {
        if (!_space.TryGet(frame, out int index) || _space[index].Owner != FrameOwner.Guest || _space[index].Leaving)
        {
            return -Errno.Invalid;
        }

        ref FrameInfo info = ref _space[index];
        info.Leaving = true;
        if (info.References == 0)
        {
            Free(ref info, frame);
        }

        return 0;
    }

    /// <summary>Notes work done, in entries.</summary>
    internal void Spend(int entries) => _work -= entries;

    /// <summary>Number of tables held for another try.</summary>
    internal int HeldCount => _held.Count;

    /// <summary>Holds a table that was just checked, until its parent's check is complete.</summary>
    internal void Hold(ref FrameInfo info, ulong frame)
    {
        info.TypeCount++;
        info.References++;
        _held.Add(frame);
    }

    /// <summary>Ends the holds after the first <paramref name="count"/>.</summary>
    internal void Unhold(int count)
    {
        for (int i = _held.Count - 1; i >= count; i--)
        {
            ulong frame = _held[i];
            _held.RemoveAt(i);
            Release(frame);
        }
    }

    /// <summary>
    /// No vCPU may keep a writable translation of what becomes a page table or descriptors, nor be in the middle of a walk through what becomes data.
    /// </summary>
    internal void ForgetFormerUse(ref FrameInfo info)
    {
        Flushes.FlushStale(info.StaleUntil);
        info.WasTable = false;
    }

    /// <summary>Gives a reference back that was no use of a type.</summary>
    internal void Unreference(ref FrameInfo info, ulong frame)
    {
        if (--info.References == 0 && info.Leaving)
        {
            Free(ref info, frame);
        }
    }

    private void Free(ref FrameInfo info, ulong frame)
    {
        ForgetFormerUse(ref info);
        _space.Free(frame);
    }

    private void EndTable(ref FrameInfo info)
    {
        info.Type = FrameType.None;
        info.StaleUntil = Flushes.Now;
        info.WasTable = true;
    }
}
