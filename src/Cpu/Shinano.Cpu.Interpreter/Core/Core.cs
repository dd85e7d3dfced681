using System.Runtime.InteropServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>What handlers work on: the architectural state and, right behind it in the same block, the engine's own. One per vCPU, fixed address.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Core
{
    /// <summary>Entries per look-aside table; a power of two.</summary>
    public const int TlbEntries = 4096;

    /// <summary>Entries of the instruction look-aside table; a power of two.</summary>
    public const int FetchEntries = 512;

    /// <summary>Translation contexts; see <see cref="CpuState.TranslationContext"/>.</summary>
    public const int Contexts = 2;

    /// <summary>Bytes of one data table.</summary>
    public const int TableBytes = TlbEntries << TlbEntry.Shift;

    /// <summary>Largest operand of an instruction that is staged in <see cref="Scratch"/>: an XSAVE area.</summary>
    public const int ScratchSize = 1024;

    public CpuState Cpu;

    /// <summary>Bits of <see cref="AttentionBits"/>; at the place that <see cref="VirtualCpu"/> prescribes.</summary>
    public int Attention;
    private readonly int _padding;

    /// <summary>Always 0: an absent part of an address.</summary>
    public ulong Zero;

    /// <summary>Linear address of the page being executed; RIP is this plus the op's offset.</summary>
    public ulong PageLinear;

    // The arithmetic flags in a form that costs three stores to set and needs no record of the operation:
    // ZF = (FlagZero == 0); SF = bit 63 of FlagSign; PF = even parity of its low byte;
    // CF = bit 63 of FlagCarries, OF = bit 63 ^ bit 62, AF = bit 3 (the carry out of bit 3 of the operands).
    public ulong FlagZero;
    public ulong FlagSign;
    public ulong FlagCarries;

    /// <summary>The current context's table for reads, <see cref="TlbEntries"/> entries; the one for writes follows it.</summary>
    public byte* DataTables;

    /// <summary>The current context's table for fetches.</summary>
    public FetchEntry* FetchTable;

    /// <summary>Instructions completed.</summary>
    public ulong Count;

    /// <summary>Handle of the <see cref="InterpreterCpu"/>.</summary>
    public nint Owner;

    /// <summary>Result of a slow load.</summary>
    public ulong SlowValue;

    /// <summary>What <see cref="SlowAccess.FinishWrite"/> has to do, see <see cref="WritePending"/>.</summary>
    public WritePending Pending;

    /// <summary>Non-zero: <see cref="Exit"/> is to be reported.</summary>
    public int HasExit;
    public ulong PendingPhysical;
    public ulong PendingPhysical2;
    public byte* PendingHost;
    public byte* PendingHost2;
    public int PendingLength;
    public int PendingLength1;

    /// <summary>Physical address of the last slow translation.</summary>
    public ulong LastPhysical;

    /// <summary>Non-zero: the last slow translation for writing found a code frame.</summary>
    public int LastIsCode;

    /// <summary>Non-zero once a page larger than 4 KiB was entered into a look-aside table.</summary>
    public int LargePageSeen;
    public ulong TlbMisses;
    public ulong CodeWrites;

    /// <summary>PAUSE instructions executed.</summary>
    public ulong Pauses;

    /// <summary>Linear address of the probe that was left for last, and <see cref="Count"/> then: while both hold, the vCPU goes past it.</summary>
    public ulong ProbeRip;
    public ulong ProbeCount;

    /// <summary>Non-zero in the careful mode (<see cref="CarefulStepper"/>): one iteration of a repeated string instruction, no look-aside entries.</summary>
    public int Careful;

    /// <summary>In the careful mode: what data accesses are looked at for.</summary>
    public CarefulReasons Inspected;

    /// <summary>In the careful mode: data breakpoints that the instruction met, as bits of DR6.</summary>
    public ulong DataHits;

    /// <summary>Non-zero: a repeated string instruction committed an iteration and is not done.</summary>
    public int Iterated;
    private readonly int _paddingToExit;
    public CpuExit Exit;

    /// <summary>Returned by a handler that leaves the run loop; its handler returns itself.</summary>
    public Op ExitOp;
    public fixed byte Scratch[ScratchSize];

    /// <summary>Slots of the data tables that are not empty: a list for each half (bit 63) of each context's addresses.</summary>
    public SlotLists UsedData;

    /// <summary>The same by the pages that they lead to.</summary>
    public PageSlotTables DataSlots;

    /// <summary>Slots of the fetch table that are not empty.</summary>
    public SlotLists UsedFetch;

    /// <summary>Per context a table for reads and one for writes; last two that stay empty, for the careful mode.</summary>
    public fixed byte Data[(Contexts + 1) * 2 * TableBytes];
    public fixed ulong Fetch[Contexts * 2 * FetchEntries];
}
