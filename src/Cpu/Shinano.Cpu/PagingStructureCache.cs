using System.Runtime.CompilerServices;

namespace Shinano.Cpu;

/// <summary>
/// The tables of the last level to which one vCPU's walks have led, so that the next walk in the same 2 MiB reads one entry instead of four. Emptied whenever the vCPU drops
/// translations, all of it, as INVLPG and loads of CR3 empty a CPU's. Not thread-safe. Source: SDM 3A §4.10.3.
/// </summary>
public sealed class PagingStructureCache
{
    private const int Count = 256;
    private const int RegionShift = 21;

    private readonly Entry[] _entries = new Entry[Count];
    private uint _generation = 1;

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        if (++_generation == 0)
        {
            Array.Clear(_entries);
            _generation = 1;
        }
    }

    /// <summary>Finds the table for an address, with the rights and execute-disable bits of the entries that led to it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryFind(ulong root, ulong linear, out ulong table, out ulong rights, out ulong noExecute)
    {
        ref Entry entry = ref EntryOf(linear);
        (table, rights, noExecute) = (entry.Table, entry.Rights, entry.NoExecute);
        return entry.Generation == _generation && entry.Region == linear >> RegionShift && entry.Root == root;
    }

    /// <summary>Keeps the table for an address, whose upper entries have their accessed bits.</summary>
    internal void Enter(ulong root, ulong linear, ulong table, ulong rights, ulong noExecute) =>
        EntryOf(linear) = new Entry { Generation = _generation, Region = linear >> RegionShift, Root = root, Table = table, Rights = rights, NoExecute = noExecute };

    private ref Entry EntryOf(ulong linear) => ref _entries[(int)((linear >> RegionShift) % Count)];

    private struct Entry
    {
        public ulong Region;
        public ulong Root;
        public ulong Table;
        public ulong Rights;
        public ulong NoExecute;
        public uint Generation;
    }
}
