using Shinano.Memory;

namespace Shinano.Hypervisor.Building;

/// <summary>
/// A run of pages that the initial page tables map, and the tables of levels 1 to 3 that it needs: level by level in one run of frames, the highest first, as
/// libxenguest places them.
/// </summary>
internal sealed class InitialMapping
{
    private const int Levels = 3;
    private const ulong AddressMask = (1UL << 48) - 1;

    private readonly ulong[] _first = new ulong[Levels + 1];
    private readonly ulong[] _count = new ulong[Levels + 1];
    private readonly ulong[] _tablePfn = new ulong[Levels + 1];

    /// <param name="start">Virtual address of the first page.</param>
    /// <param name="pages">Number of pages, at least 1.</param>
    /// <param name="above">A mapping at higher addresses whose tables may serve this one too.</param>
    public InitialMapping(ulong start, ulong pages, InitialMapping? above = null)
    {
        Start = start;
        Pages = pages;
        for (int level = 1; level <= Levels; level++)
        {
            ulong last = IndexOf(start + ((pages - 1) << GuestMemory.PageShift), level);
            _first[level] = IndexOf(start, level);
            if (above is not null && last >= above._first[level])
            {
                last = above._first[level] - 1;
            }

            // Where all of them are the other's, last is before first.
            _count[level] = last + 1 - _first[level];
            TableCount += _count[level];
        }
    }

    public ulong Start { get; }

    public ulong Pages { get; }

    /// <summary>Pseudo-physical number of the first mapped page.</summary>
    public ulong FirstPfn { get; init; }

    /// <summary>Tables of levels 1 to 3, those of the other mapping left out.</summary>
    public ulong TableCount { get; }

    /// <summary>Puts the tables into a run of frames.</summary>
    public void PlaceTables(ulong pfn)
    {
        for (int level = Levels; level >= 1; level--)
        {
            _tablePfn[level] = pfn;
            pfn += _count[level];
        }
    }

    /// <summary>The frame of the table of <paramref name="level"/> that covers an address; false when it is not one of this mapping's.</summary>
    public bool TryGetTable(ulong address, int level, out ulong pfn)
    {
        ulong offset = IndexOf(address, level) - _first[level];
        pfn = _tablePfn[level] + offset;
        return offset < _count[level];
    }

    /// <summary>Number of the table of a level, counted over the whole address space.</summary>
    private static ulong IndexOf(ulong address, int level) => (address & AddressMask) >> (GuestMemory.PageShift + (9 * level));
}
