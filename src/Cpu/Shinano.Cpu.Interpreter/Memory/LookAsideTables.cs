using Shinano.Memory;

namespace Shinano.Cpu.Interpreter;

/// <summary>The look-aside tables of a <see cref="Core"/>: filling, and dropping what was filled. The vCPU's own thread only.</summary>
/// <remarks>
/// Each context has tables of its own, and a list of the slots in use for each half of the addresses, so that dropping costs what was used, not the tables' size, and
/// a guest kernel's half costs nothing when it stays.
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
        c->UsedData = default;
        c->UsedFetch = default;
        for (int list = 0; list < Core.Contexts * SlotLists.Halves; list++)
        {
            PageSlotTables.Of(ref c->DataSlots, list / SlotLists.Halves, list % SlotLists.Halves).Clear();
        }

        Select(c);
    }

    /// <summary>Makes the tables of the state's context the current ones.</summary>
    public static void Select(Core* c)
    {
        int context = (int)(c->Cpu.TranslationContext & 1);
        c->DataTables = (byte*)ReadTable(c, context);
        c->FetchTable = FetchTable(c, context);
    }

    /// <summary>Makes the empty tables the current ones for data: every access is a slow one.</summary>
    public static void SelectEmpty(Core* c) => c->DataTables = c->Data + (Core.Contexts * 2 * Core.TableBytes);

    /// <summary>Enters a translation into an entry of the current context's tables.</summary>
    /// <param name="host">Host address of the byte at <paramref name="address"/>.</param>
    public static void Enter(Core* c, TlbEntry* entry, ulong address, byte* host)
    {
        ulong slot = (address >> GuestMemory.PageShift) & (Core.TlbEntries - 1);

        // One list serves both tables.
        int context = (int)(c->Cpu.TranslationContext & 1);
        int half = SlotLists.HalfOf(address);
        SlotLists.Of(ref c->UsedData, context, half).Add((int)slot);
        NotePlace(c, context, half, (int)slot, host - (address & OffsetMask));
        entry->Addend = (ulong)host - address;
        entry->HostPage = host - (address & OffsetMask);
        entry->NegatedTag = 0 - (address & ~OffsetMask);
    }

    /// <summary>Enters code into the current context's fetch table.</summary>
    public static void Enter(Core* c, FetchEntry* entry, ulong linear, CodePage* page)
    {
        SlotLists.Of(ref c->UsedFetch, (int)(c->Cpu.TranslationContext & 1), SlotLists.HalfOf(linear)).Add((int)(entry - c->FetchTable));
        entry->Page = page;
        entry->Tag = (linear & ~OffsetMask) | FetchEntry.Valid;
    }

    /// <summary>Finds the translation of a byte in a context's tables.</summary>
    public static bool TryFind(Core* c, int context, ulong linear, bool write, GuestMemory memory, out ulong physical)
    {
        TlbEntry* table = write ? WriteTable(c, context) : ReadTable(c, context);
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
        for (int half = 0; half < SlotLists.Halves; half++)
        {
            FlushHalf(c, context, half);
        }
    }

    /// <summary>Drops the translations of a context that lead to one of the frames, and those of addresses with bit 63 clear unless they are to be kept.</summary>
    public static void FlushChanged(Core* c, int context, FrameFilter changed, bool keepsLowerHalf, GuestMemory memory)
    {
        for (int half = 0; half < SlotLists.Halves; half++)
        {
            if (half == 0 && !keepsLowerHalf)
            {
                FlushHalf(c, context, half);
            }
            else if (!changed.IsEmpty)
            {
                FlushChangedHalf(c, context, half, changed, memory);
            }
        }
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
                // The slot stays in the list of used ones.
                entry->NegatedTag = TlbEntry.EmptyTag(slot);
            }
        }

        ulong fetchSlot = (linear >> GuestMemory.PageShift) & (Core.FetchEntries - 1);
        for (int context = 0; context < Core.Contexts; context++)
        {
            FetchEntry* entry = FetchTable(c, context) + (int)fetchSlot;
            if (entry->Tag == (page | FetchEntry.Valid))
            {
                entry->Tag = 0;
            }
        }
    }

    /// <summary>Drops write translations of the frame at a host address, wherever it is mapped.</summary>
    public static void DropWrites(Core* c, byte* hostPage)
    {
        for (int list = 0; list < Core.Contexts * SlotLists.Halves; list++)
        {
            TlbEntry* write = WriteTable(c, list / SlotLists.Halves);
            ref SlotList used = ref SlotLists.Of(ref c->UsedData, list / SlotLists.Halves, list % SlotLists.Halves);
            for (int i = 0; i < used.Count; i++)
            {
                if (write[used[i]].HostPage == hostPage)
                {
                    Empty(write, (ulong)used[i]);
                }
            }
        }
    }

    private static void FlushHalf(Core* c, int context, int half)
    {
        TlbEntry* read = ReadTable(c, context);
        TlbEntry* write = WriteTable(c, context);
        ref SlotList used = ref SlotLists.Of(ref c->UsedData, context, half);
        ref PageSlots places = ref PageSlotTables.Of(ref c->DataSlots, context, half);
        for (int i = used.TakeAll() - 1; i >= 0; i--)
        {
            int slot = used.Take(i);
            EmptyOf(read, slot, half, ref places);
            EmptyOf(write, slot, half, ref places);
        }

        FetchEntry* fetch = FetchTable(c, context);
        ref SlotList usedFetch = ref SlotLists.Of(ref c->UsedFetch, context, half);
        for (int i = usedFetch.TakeAll() - 1; i >= 0; i--)
        {
            int slot = usedFetch.Take(i);
            if (SlotLists.HalfOf(fetch[slot].Tag) == half)
            {
                fetch[slot].Tag = 0;
            }
        }
    }

    private static void FlushChangedHalf(Core* c, int context, int half, FrameFilter changed, GuestMemory memory)
    {
        if (!TryFlushListed(c, context, half, changed, memory))
        {
            FlushLookedThrough(c, context, half, changed, memory);
        }

        FetchEntry* fetch = FetchTable(c, context);
        ref SlotList usedFetch = ref SlotLists.Of(ref c->UsedFetch, context, half);
        int count = usedFetch.TakeAll();
        for (int i = 0; i < count; i++)
        {
            int slot = usedFetch.Take(i);
            if (fetch[slot].Tag == 0 || SlotLists.HalfOf(fetch[slot].Tag) != half)
            {
                continue;
            }

            if (changed.MayContain(fetch[slot].Page->Frame))
            {
                fetch[slot].Tag = 0;
            }
            else
            {
                usedFetch.Add(slot);
            }
        }
    }

    /// <summary>Drops the data translations that lead to the frames one by one.</summary>
    /// <returns>False when that cannot be: they are too many, or one has translations in several slots.</returns>
    private static bool TryFlushListed(Core* c, int context, int half, FrameFilter changed, GuestMemory memory)
    {
        if (!changed.TryList(out ReadOnlySpan<ulong> frames))
        {
            return false;
        }

        TlbEntry* read = ReadTable(c, context);
        TlbEntry* write = WriteTable(c, context);
        ref PageSlots places = ref PageSlotTables.Of(ref c->DataSlots, context, half);
        foreach (ulong frame in frames)
        {
            byte* hostPage = memory.HostBase + ((frame - memory.FirstFrame) << GuestMemory.PageShift);
            int slot = places[PageSlots.KeyOf(hostPage)];
            if (slot == PageSlots.Many)
            {
                return false;
            }

            if (slot >= 0)
            {
                EmptyIf(read, slot, half, hostPage);
                EmptyIf(write, slot, half, hostPage);
            }
        }

        return true;
    }

    /// <summary>Looks through all data translations of a half for those that lead to one of the frames.</summary>
    private static void FlushLookedThrough(Core* c, int context, int half, FrameFilter changed, GuestMemory memory)
    {
        TlbEntry* read = ReadTable(c, context);
        TlbEntry* write = WriteTable(c, context);
        ref SlotList used = ref SlotLists.Of(ref c->UsedData, context, half);
        PageSlotTables.Of(ref c->DataSlots, context, half).Clear();
        int count = used.TakeAll();
        for (int i = 0; i < count; i++)
        {
            int slot = used.Take(i);
            if (Keeps(read, slot, half, changed, memory) | Keeps(write, slot, half, changed, memory))
            {
                used.Add(slot);
                NotePlace(c, context, half, slot, read[slot].HostPage);
                NotePlace(c, context, half, slot, write[slot].HostPage);
            }
        }
    }

    /// <summary>Remembers that a slot leads to a host page.</summary>
    private static void NotePlace(Core* c, int context, int half, int slot, byte* hostPage)
    {
        if (hostPage is null)
        {
            return;
        }

        ref PageSlots places = ref PageSlotTables.Of(ref c->DataSlots, context, half);
        int key = PageSlots.KeyOf(hostPage);
        int known = places[key];
        if (known != slot && known != PageSlots.Many)
        {
            bool isOutdated = known < 0
                || (PageSlots.KeyOf(ReadTable(c, context)[known].HostPage) != key && PageSlots.KeyOf(WriteTable(c, context)[known].HostPage) != key);
            places.Set(key, isOutdated ? slot : PageSlots.Many);
        }
    }

    /// <summary>Empties an entry that leads to one of the frames.</summary>
    /// <returns>Whether the entry translates an address of this half still.</returns>
    private static bool Keeps(TlbEntry* entries, int slot, int half, FrameFilter changed, GuestMemory memory)
    {
        TlbEntry* entry = entries + slot;
        if (entry->HostPage is null || SlotLists.HalfOf(0 - entry->NegatedTag) != half)
        {
            return false;
        }

        ulong frame = memory.FirstFrame + ((ulong)(entry->HostPage - memory.HostBase) >> GuestMemory.PageShift);
        if (!changed.MayContain(frame))
        {
            return true;
        }

        Empty(entries, (ulong)slot);
        return false;
    }

    private static TlbEntry* ReadTable(Core* c, int context) => (TlbEntry*)(c->Data + (context * 2 * Core.TableBytes));

    private static TlbEntry* WriteTable(Core* c, int context) => ReadTable(c, context) + Core.TlbEntries;

    private static FetchEntry* FetchTable(Core* c, int context) => (FetchEntry*)c->Fetch + (context * Core.FetchEntries);

    /// <summary>Empties an entry unless it translates an address of the other half.</summary>
    private static void EmptyOf(TlbEntry* entries, int slot, int half, ref PageSlots places)
    {
        if (entries[slot].HostPage is not null && SlotLists.HalfOf(0 - entries[slot].NegatedTag) == half)
        {
            places.Remove(PageSlots.KeyOf(entries[slot].HostPage));
            Empty(entries, (ulong)slot);
        }
    }

    /// <summary>Empties an entry of a half that leads to a host page.</summary>
    private static void EmptyIf(TlbEntry* entries, int slot, int half, byte* hostPage)
    {
        if (entries[slot].HostPage == hostPage && SlotLists.HalfOf(0 - entries[slot].NegatedTag) == half)
        {
            Empty(entries, (ulong)slot);
        }
    }

    private static void Empty(TlbEntry* entries, ulong slot)
    {
        entries[slot].NegatedTag = TlbEntry.EmptyTag(slot);
        entries[slot].HostPage = null;
    }
}
