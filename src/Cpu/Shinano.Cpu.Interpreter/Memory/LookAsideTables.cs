using Shinano.Memory;

namespace Shinano.Cpu.Interpreter;

/// <summary>The look-aside tables of a <see cref="Core"/>: filling, and dropping what was filled. The vCPU's own thread only.</summary>
/// <remarks>
/// Each context has tables of its own and a list of the slots in use, so that dropping a context costs what was used of it, not the tables' size.
/// </remarks>
internal static unsafe class LookAsideTables
{
    private const ulong OffsetMask = GuestMemory.PageSize - 1;

    /// <summary>Makes all tables empty, whatever they hold.</summary>
    public static void Reset(Core* c)
    {
        for (int table = 0; table < (Core.Contexts + 1) * 2; table++)
        {
            TlbEntry* entries = (TlbEntry*)(c->Data + (table * Core.TableBytes));
            for (ulong slot = 0; slot < Core.TlbEntries; slot++)
            {
                Empty(entries, slot);
            }
        }

        new Span<ulong>(c->Fetch, Core.Contexts * 2 * Core.FetchEntries).Clear();
        for (int context = 0; context < Core.Contexts; context++)
        {
            c->UsedDataCount[context] = 0;
            c->UsedFetchCount[context] = 0;
        }

        Select(c);
    }

    /// <summary>Makes the tables of the state's context the current ones.</summary>
    public static void Select(Core* c)
    {
        ulong context = c->Cpu.TranslationContext & 1;
        c->DataTables = c->Data + (context * 2 * Core.TableBytes);
        c->FetchTable = (FetchEntry*)c->Fetch + (context * Core.FetchEntries);
    }

    /// <summary>Makes the empty tables the current ones for data: every access is a slow one.</summary>
    public static void SelectEmpty(Core* c) => c->DataTables = c->Data + (Core.Contexts * 2 * Core.TableBytes);

    /// <summary>Enters a translation into an entry of the current context's tables.</summary>
    /// <param name="host">Host address of the byte at <paramref name="address"/>.</param>
    public static void Enter(Core* c, TlbEntry* entry, ulong address, byte* host)
    {
        ulong slot = (address >> GuestMemory.PageShift) & (Core.TlbEntries - 1);
        if (((TlbEntry*)c->DataTables)[slot].HostPage is null)
        {
            // A write entry is made after the read entry of the same page: one list serves both tables.
            int context = (int)(c->Cpu.TranslationContext & 1);
            c->UsedData[(context * Core.TlbEntries) + c->UsedDataCount[context]++] = (ushort)slot;
        }

        entry->Addend = (ulong)host - address;
        entry->HostPage = host - (address & OffsetMask);
        entry->NegatedTag = 0 - (address & ~OffsetMask);
    }

    /// <summary>Enters code into the current context's fetch table.</summary>
    public static void Enter(Core* c, FetchEntry* entry, ulong linear, CodePage* page)
    {
        if (entry->Tag == 0)
        {
            int context = (int)(c->Cpu.TranslationContext & 1);
            c->UsedFetch[(context * Core.FetchEntries) + c->UsedFetchCount[context]++] = (ushort)(entry - c->FetchTable);
        }

        entry->Page = page;
        entry->Tag = (linear & ~OffsetMask) | FetchEntry.Valid;
    }

    /// <summary>Finds the translation of a byte in a context's tables.</summary>
    public static bool TryFind(Core* c, int context, ulong linear, bool write, GuestMemory memory, out ulong physical)
    {
        TlbEntry* table = (TlbEntry*)(c->Data + (((context * 2) + (write ? 1 : 0)) * Core.TableBytes));
        TlbEntry* entry = table + ((linear >> GuestMemory.PageShift) & (Core.TlbEntries - 1));
        ulong offset = linear + entry->NegatedTag;
        if (offset > OffsetMask || entry->HostPage is null)
        {
            physical = 0;
            return false;
        }

        physical = (memory.FirstFrame << GuestMemory.PageShift) + (ulong)(entry->HostPage - memory.HostBase) + offset;
        return true;
    }

    /// <summary>Drops the translations of a context.</summary>
    public static void Flush(Core* c, int context)
    {
        TlbEntry* read = (TlbEntry*)(c->Data + (context * 2 * Core.TableBytes));
        TlbEntry* write = read + Core.TlbEntries;
        ushort* used = c->UsedData + (context * Core.TlbEntries);
        for (int i = 0; i < c->UsedDataCount[context]; i++)
        {
            Empty(read, used[i]);
            Empty(write, used[i]);
        }

        c->UsedDataCount[context] = 0;
        FetchEntry* fetch = (FetchEntry*)c->Fetch + (context * Core.FetchEntries);
        ushort* usedFetch = c->UsedFetch + (context * Core.FetchEntries);
        for (int i = 0; i < c->UsedFetchCount[context]; i++)
        {
            fetch[usedFetch[i]].Tag = 0;
        }

        c->UsedFetchCount[context] = 0;
    }

    /// <summary>Drops the translations of a context but for those of addresses with bit 63 set that lead to none of the frames.</summary>
    public static void FlushButUpperHalf(Core* c, int context, FrameFilter changed, GuestMemory memory)
    {
        TlbEntry* read = (TlbEntry*)(c->Data + (context * 2 * Core.TableBytes));
        TlbEntry* write = read + Core.TlbEntries;
        ushort* used = c->UsedData + (context * Core.TlbEntries);
        int kept = 0;
        for (int i = 0; i < c->UsedDataCount[context]; i++)
        {
            ushort slot = used[i];

            // The tag is negated: bit 63 is clear for the upper half. A write entry has its page's read entry beside it, or none that matches.
            ulong frame = memory.FirstFrame + ((ulong)(read[slot].HostPage - memory.HostBase) >> GuestMemory.PageShift);
            if (IsUpper(read[slot].NegatedTag) && !changed.MayContain(frame) && (write[slot].HostPage is null || write[slot].NegatedTag == read[slot].NegatedTag))
            {
                used[kept++] = slot;
                continue;
            }

            Empty(read, slot);
            Empty(write, slot);
        }

        c->UsedDataCount[context] = kept;
        FetchEntry* fetch = (FetchEntry*)c->Fetch + (context * Core.FetchEntries);
        ushort* usedFetch = c->UsedFetch + (context * Core.FetchEntries);
        kept = 0;
        for (int i = 0; i < c->UsedFetchCount[context]; i++)
        {
            ushort slot = usedFetch[i];
            if ((long)fetch[slot].Tag < 0 && !changed.MayContain(fetch[slot].Page->Frame))
            {
                usedFetch[kept++] = slot;
            }
            else
            {
                fetch[slot].Tag = 0;
            }
        }

        c->UsedFetchCount[context] = kept;
    }

    /// <summary>Drops the translation of a 4 KiB page in both contexts.</summary>
    public static void FlushPage(Core* c, ulong linear)
    {
        ulong page = linear & ~OffsetMask;
        ulong slot = (linear >> GuestMemory.PageShift) & (Core.TlbEntries - 1);
        for (int table = 0; table < Core.Contexts * 2; table++)
        {
            TlbEntry* entry = (TlbEntry*)(c->Data + (table * Core.TableBytes)) + slot;
            if (entry->NegatedTag == 0 - page)
            {
                // The slot stays in the list of used ones, so it must not look unused: an entry without a match, but with a page.
                entry->NegatedTag = TlbEntry.EmptyTag(slot);
            }
        }

        ulong fetchSlot = (linear >> GuestMemory.PageShift) & (Core.FetchEntries - 1);
        for (int context = 0; context < Core.Contexts; context++)
        {
            FetchEntry* entry = (FetchEntry*)c->Fetch + (context * Core.FetchEntries) + (int)fetchSlot;
            if (entry->Tag == (page | FetchEntry.Valid))
            {
                // As above: a tag that is neither empty nor any page's.
                entry->Tag = FetchEntry.Valid << 1;
            }
        }
    }

    /// <summary>Drops write translations of the frame at a host address, wherever it is mapped.</summary>
    public static void DropWrites(Core* c, byte* hostPage)
    {
        for (int context = 0; context < Core.Contexts; context++)
        {
            TlbEntry* write = (TlbEntry*)(c->Data + (((context * 2) + 1) * Core.TableBytes));
            ushort* used = c->UsedData + (context * Core.TlbEntries);
            for (int i = 0; i < c->UsedDataCount[context]; i++)
            {
                if (write[used[i]].HostPage == hostPage)
                {
                    Empty(write, used[i]);
                }
            }
        }
    }

    /// <summary>Whether a negated tag is of a page with bit 63 set.</summary>
    private static bool IsUpper(ulong negatedTag) => (long)(0 - negatedTag) < 0;

    private static void Empty(TlbEntry* entries, ulong slot)
    {
        entries[slot].NegatedTag = TlbEntry.EmptyTag(slot);
        entries[slot].HostPage = null;
    }
}
