using System.Runtime.InteropServices;
using Shinano.Cpu;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// The frames whose present last-level entries changed of late. When a vCPU loads a root or flushes, what the tables map as before, and no entry of which changed since
/// the vCPU last looked here, may stay: no guest can tell. Under the MMU lock.
/// </summary>
internal sealed class LeafChanges
{
    private const int Capacity = 4096;

    /// <summary>Tables that are looked through when one is replaced.</summary>
    private const int MaxTables = 4;
    private readonly ulong[] _frames = new ulong[Capacity];
    private long _unknownUntil;

    /// <summary>Changes so far.</summary>
    public long Count { get; private set; }

    /// <summary>A last-level entry was replaced. What the CPU itself would set is no change; that the guest clears it is.</summary>
    public void Note(ulong old, ulong value)
    {
        const ulong Set = PageTableEntry.Accessed | PageTableEntry.Dirty;
        if ((old & PageTableEntry.Present) != 0 && ((old ^ value) & ~(value & Set)) != 0)
        {
            Add(old);
        }
    }

    /// <summary>An entry that led to a page table was replaced: all pages that it mapped may be mapped otherwise now.</summary>
    public void NoteTable(GuestMemory memory, ulong frame, int level)
    {
        int left = MaxTables;
        if (!TryNoteTable(memory, frame, level, ref left))
        {
            _unknownUntil = ++Count;
        }
    }

    /// <summary>Fills a filter with the frames of the changes from number <paramref name="since"/> on.</summary>
    /// <returns>False when they are unknown, or too many to be remembered.</returns>
    public bool TryCollect(long since, FrameFilter filter)
    {
        if (Count - since > Capacity || since < _unknownUntil)
        {
            return false;
        }

        filter.Clear();
        for (long i = since; i < Count; i++)
        {
            filter.Add(_frames[i % Capacity]);
        }

        return true;
    }

    private void Add(ulong entry) => _frames[Count++ % Capacity] = PageTableEntry.Frame(entry);

    private bool TryNoteTable(GuestMemory memory, ulong frame, int level, ref int left)
    {
        if (left-- == 0)
        {
            return false;
        }

        foreach (ulong entry in MemoryMarshal.Cast<byte, ulong>(memory.FrameSpan(frame)))
        {
            if ((entry & PageTableEntry.Present) == 0)
            {
                continue;
            }

            if (level > 1)
            {
                if (!TryNoteTable(memory, PageTableEntry.Frame(entry), level - 1, ref left))
                {
                    return false;
                }
            }
            else
            {
                Add(entry);
            }
        }

        return true;
    }
}
