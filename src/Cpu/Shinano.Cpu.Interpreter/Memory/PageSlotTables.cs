using System.Runtime.CompilerServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>A <see cref="PageSlots"/> for each half of each context's addresses.</summary>
[InlineArray(SlotLists.Halves * Core.Contexts)]
internal struct PageSlotTables
{
    private PageSlots _first;

    /// <summary>The table of a context's half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref PageSlots Of(ref PageSlotTables tables, int context, int half) => ref tables[(SlotLists.Halves * context) + half];
}
