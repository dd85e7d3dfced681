using Shinano.Cpu;
using Shinano.X86;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// The frames whose present last-level entries changed of late. Loading a root drops the context's translations; what the new root maps as the old one did,
/// and no entry of which changed since the vCPU last looked here, may stay: no guest can tell. Under the MMU lock.
/// </summary>
/// <remarks>Entries above the last level are no concern: changing a present one is followed by a flush of all vCPUs (<see cref="PageTypes.FlushDue"/>).</remarks>
internal sealed class LeafChanges
{
    private const int Capacity = 512;
    private readonly ulong[] _frames = new ulong[Capacity];

    /// <summary>Changes so far.</summary>
    public long Count { get; private set; }

    /// <summary>A last-level entry was replaced.</summary>
    public void Note(ulong old, ulong value)
    {
        const ulong Unseen = PageTableEntry.Accessed | PageTableEntry.Dirty;
        if ((old & PageTableEntry.Present) != 0 && ((old ^ value) & ~Unseen) != 0)
        {
            _frames[Count++ % Capacity] = PageTableEntry.Frame(old);
        }
    }

    /// <summary>Fills a filter with the frames of the changes from number <paramref name="since"/> on.</summary>
    /// <returns>False when they are too many to be remembered.</returns>
    public bool TryCollect(long since, FrameFilter filter)
    {
        if (Count - since > Capacity)
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
}
