using System.Runtime.CompilerServices;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>Ways from block to block, out of the run loop, and into faults.</summary>
internal static unsafe class FlowHandlers
{
    private const ulong PageMask = ~(ulong)(GuestMemory.PageSize - 1);

    /// <summary>Handler of <see cref="Core.ExitOp"/>.</summary>
    public static Op* Exit(Core* c, Op* op) => op;

    /// <summary>In the place of every op of a dropped block: looks the instruction up anew.</summary>
    public static Op* Stale(Core* c, Op* op)
    {
        c->Count += op->Position;
        return Lookup(c, c->PageLinear + op->Offset);
    }

    /// <summary>Stands before an instruction with a probe: leaves for it, or executes the instruction alone when the vCPU is to go past.</summary>
    public static Op* Probe(Core* c, Op* op)
    {
        ulong linear = c->PageLinear + op->Offset;
        return IsPassed(c, linear) ? InterpreterCpu.Of(c).Slots.Fetch(c, linear) : ExitAtProbe(c, linear, (ulong)op->Disp);
    }

    /// <summary>Whether the last exit was for the probe at a linear address and nothing has been executed since.</summary>
    public static bool IsPassed(Core* c, ulong linear) => c->ProbeRip == linear && c->ProbeCount == c->Count;

    /// <summary>Prepares the exit for a probe.</summary>
    public static Op* ExitAtProbe(Core* c, ulong linear, ulong physical)
    {
        c->ProbeRip = linear;
        c->ProbeCount = c->Count;
        c->Cpu.Rip = linear;
        c->Exit = new CpuExit { Kind = CpuExitKind.Probe, Address = physical };
        c->HasExit = 1;
        return &c->ExitOp;
    }

    /// <summary>The last instruction of a page reaches into the next one.</summary>
    public static Op* CrossPage(Core* c, Op* op)
    {
        c->Count += op->Position;
        return InterpreterCpu.Of(c).Slots.Fetch(c, c->PageLinear + op->Offset);
    }

    /// <summary>End mark of a block that ran up to the end of its page, or of a private slot.</summary>
    public static Op* NextPage(Core* c, Op* op)
    {
        c->Count += op->Position;
        return Lookup(c, c->PageLinear + (ulong)op->Imm);
    }

    /// <summary>End mark of a block that became too long.</summary>
    public static Op* NextBlock(Core* c, Op* op)
    {
        c->Count += op->Position;
        Op* target = op->Target;
        return target is not null ? target : Chain(c, op);
    }

    /// <summary>Continues at a linear address: the one place where running code changes its page.</summary>
    public static Op* Lookup(Core* c, ulong linear)
    {
        return Volatile.Read(ref c->Attention) != 0 ? Leave(c, linear) : Find(c, linear);
    }

    /// <summary>The op at a linear address, decoded if need be; the exit op when fetching it faults.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Op* Find(Core* c, ulong linear)
    {
        FetchEntry* entry = c->FetchTable + ((linear >> 12) & (Core.FetchEntries - 1));
        if (entry->Tag == ((linear & PageMask) | FetchEntry.Valid))
        {
            Op* op = CodePage.Find(entry->Page, linear);
            if (op is not null)
            {
                c->PageLinear = linear & PageMask;
                return op;
            }
        }

        return FindSlow(c, linear);
    }

    /// <summary>Leaves the run loop between two instructions; the outer loop decides what is next.</summary>
    public static Op* Leave(Core* c, ulong linear)
    {
        c->Cpu.Rip = linear;
        return &c->ExitOp;
    }

    /// <summary>Leaves after an instruction that changed something the outer loop looks at.</summary>
    public static Op* LeaveAfter(Core* c, Op* op)
    {
        c->Count += op->Position + 1UL;
        return Leave(c, c->PageLinear + (ulong)op->NextOffset);
    }

    /// <summary>Prepares an exit with RIP at the instruction.</summary>
    public static Op* ExitAt(Core* c, Op* op, CpuExitKind kind)
    {
        c->Count += op->Position;
        c->Cpu.Rip = c->PageLinear + op->Offset;
        c->Exit = new CpuExit { Kind = kind, InstructionLength = op->Length };
        c->HasExit = 1;
        return &c->ExitOp;
    }

    /// <summary>Prepares an exit with RIP after the instruction.</summary>
    public static Op* ExitAfter(Core* c, Op* op, CpuExitKind kind)
    {
        c->Count += op->Position + 1UL;
        c->Cpu.Rip = c->PageLinear + (ulong)op->NextOffset;
        c->Exit = new CpuExit { Kind = kind };
        c->HasExit = 1;
        return &c->ExitOp;
    }

    /// <summary>A fault of the instruction.</summary>
    public static Op* Fault(Core* c, Op* op, ExceptionVector vector, uint errorCode)
    {
        Op* exit = ExitAt(c, op, CpuExitKind.Exception);
        c->Exit.Vector = vector;
        c->Exit.ErrorCode = errorCode;
        return exit;
    }

    /// <summary>A page fault of one of the instruction's data accesses.</summary>
    public static Op* PageFault(Core* c, Op* op, ulong address, PageFaultErrors error)
    {
        Op* exit = Fault(c, op, ExceptionVector.PageFault, (uint)error);
        c->Exit.Address = address;
        return exit;
    }

    /// <summary>A trap: RIP after the instruction.</summary>
    public static Op* Trap(Core* c, Op* op, ExceptionVector vector)
    {
        Op* exit = ExitAfter(c, op, CpuExitKind.Exception);
        c->Exit.Vector = vector;
        return exit;
    }

    /// <summary>Looks up and remembers the target of a direct jump inside the page.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Op* Chain(Core* c, Op* op)
    {
        ulong page = c->PageLinear;
        Op* target = Lookup(c, page + (ulong)op->Imm);

        // Only a block of the same frame may be remembered: both die together. The page's code may have moved to another frame
        // (a remapping under a stale fetch entry), hence the check that the target is what the op's own page now answers.
        if (target != &c->ExitOp && ((ulong)op->Imm & PageMask) == 0 && IsSamePage(c, op, target))
        {
            Volatile.Write(ref *(nint*)&op->Target, (nint)target);
        }

        return target;
    }

    /// <summary>Translates for fetching; on failure gives the exit.</summary>
    public static bool TranslateFetch(Core* c, ulong linear, out PageWalker.Translation found, out CpuExit fault)
    {
        fault = default;
        found = default;
        if (!SlowAccess.IsCanonical(linear))
        {
            fault = new CpuExit { Kind = CpuExitKind.Exception, Vector = ExceptionVector.GeneralProtection };
            return false;
        }

        InterpreterCpu cpu = InterpreterCpu.Of(c);
        c->TlbMisses++;
        if (!PageWalker.TryTranslate(
                cpu.Engine.Memory, cpu.WalkContext(), linear, PageFaultErrors.InstructionFetch, out found, out PageFaultErrors error, cpu.Walks)
            || !cpu.Engine.Memory.IsRam(found.Physical >> GuestMemory.PageShift))
        {
            fault = new CpuExit
            {
                Kind = CpuExitKind.Exception,
                Vector = ExceptionVector.PageFault,
                ErrorCode = (uint)error,
                Address = linear,
            };
            return false;
        }

        return true;
    }

    /// <summary>The code page behind a linear address; null when fetching from it faults, with the exit prepared.</summary>
    public static CodePage* FindPage(Core* c, ulong linear)
    {
        FetchEntry* entry = c->FetchTable + ((linear >> 12) & (Core.FetchEntries - 1));
        if (entry->Tag != ((linear & PageMask) | FetchEntry.Valid))
        {
            if (!TranslateFetch(c, linear, out PageWalker.Translation found, out CpuExit fault))
            {
                c->Cpu.Rip = linear;
                c->Exit = fault;
                c->HasExit = 1;
                return null;
            }

            if (found.PageShift != GuestMemory.PageShift)
            {
                c->LargePageSeen = 1;
            }

            CodeCache code = InterpreterCpu.Of(c).Engine.Code;
            LookAsideTables.Enter(c, entry, linear, code.PageOf(found.Physical >> GuestMemory.PageShift, CodeMode.Long64));
        }

        return entry->Page;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* FindSlow(Core* c, ulong linear)
    {
        CodePage* page = FindPage(c, linear);
        if (page is null)
        {
            return &c->ExitOp;
        }

        c->PageLinear = linear & PageMask;
        Op* op = CodePage.Find(page, linear);
        if (op is not null)
        {
            return op;
        }

        InterpreterCpu cpu = InterpreterCpu.Of(c);
        return cpu.Engine.Code.Decode(cpu, page, (int)(linear & ~PageMask));
    }

    /// <summary>Whether an op, found at a linear address of the current page, belongs to the frame of the jump that led there.</summary>
    private static bool IsSamePage(Core* c, Op* op, Op* target)
    {
        // A block's ops lie together and its first op is the page's entry for that offset: when the jump's own block is what the
        // current mapping gives for its offset, jump and target come from one frame.
        FetchEntry* entry = c->FetchTable + ((c->PageLinear >> 12) & (Core.FetchEntries - 1));
        Op* head = op - op->Position;
        return entry->Tag == (c->PageLinear | FetchEntry.Valid) && CodePage.Find(entry->Page, head->Offset) == head
            && CodePage.Find(entry->Page, target->Offset) == target;
    }
}
