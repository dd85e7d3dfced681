using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>
/// The careful mode of one vCPU: one instruction from a private slot, with its data accesses looked at, then the debug traps that belong to it.
/// </summary>
/// <remarks>
/// The handlers are the usual ones. They run with look-aside tables that are never filled: every access goes through <see cref="SlowAccess"/>, which asks <see cref="Inspect"/>. The fast mode has no part in it.
/// </remarks>
internal sealed unsafe class CarefulStepper(PrivateSlots slots)
{
    /// <summary>Data breakpoints met by a MOV SS, held off to the end of the next instruction (SDM 3A §6.8.3).</summary>
    private ulong _held;

    /// <summary>Executes the instruction at RIP; on return an exit is prepared, or the vCPU is at the next boundary.</summary>
    public void Step(Core* c, CarefulReasons reasons)
    {
        ulong start = c->Cpu.Rip;
        bool shadow = (reasons & CarefulReasons.Shadow) != 0;
        bool breakpoints = (reasons & CarefulReasons.Breakpoints) != 0;
        if (!shadow)
        {
            _held = 0;
        }

        if (breakpoints && !shadow && (c->Cpu.Rflags & Rflags.Resume) == 0 && ExecutionHits(c, start) is var hits and not 0)
        {
            // A fault: nothing of the instruction happens. RF lets the guest go on behind it (SDM 3B §17.3.1.1).
            Report(c, hits);
            return;
        }

        // After the breakpoint, whose handler comes back here with RF: so each is met once.
        if (InterpreterCpu.Of(c).MeetsProbe(start))
        {
            return;
        }

        c->Inspected = reasons & (CarefulReasons.Breakpoints | CarefulReasons.AlignmentChecks);
        c->DataHits = 0;
        c->Iterated = 0;
        c->Cpu.InterruptShadow = 0;
        ulong count = c->Count;
        LookAsideTables.SelectEmpty(c);
        c->Careful = 1;
        Interlocked.Or(ref c->Attention, AttentionBits.Step);
        InterpreterCpu.Execute(c, slots.Fetch(c, start));
        Interlocked.And(ref c->Attention, ~AttentionBits.Step);
        c->Careful = 0;
        c->Inspected = CarefulReasons.None;
        LookAsideTables.Select(c);
        if (c->HasExit != 0)
        {
            // Data breakpoints of an instruction that faulted were not met: it will run again. One that left for the hypervisor accessed nothing.
            if (c->Exit.Kind != CpuExitKind.Exception)
            {
                c->Cpu.Rflags &= ~Rflags.Resume;
            }

            return;
        }

        bool completed = c->Count != count;
        if (!completed && c->Iterated == 0)
        {
            // Nothing ran: somebody wants attention.
            c->Cpu.InterruptShadow = shadow ? 1UL : 0;
            return;
        }

        // A repeated string instruction is not to meet its breakpoint again after each iteration (SDM 3B §17.3.1.1).
        c->Cpu.Rflags = completed ? c->Cpu.Rflags & ~Rflags.Resume : c->Cpu.Rflags | Rflags.Resume;
        if (c->Cpu.InterruptShadow != 0)
        {
            // MOV SS. A second one in a row holds nothing off, or a guest could hold off for ever.
            if (!shadow)
            {
                _held = c->DataHits;
                return;
            }

            c->Cpu.InterruptShadow = 0;
        }

        ulong status = c->DataHits | _held;
        _held = 0;
        if ((reasons & CarefulReasons.SingleStep) != 0)
        {
            status |= DebugControl.SingleStep;
        }

        if (status != 0)
        {
            Report(c, status);
        }
    }

    /// <summary>Looks at a data access of the instruction before it is made.</summary>
    /// <returns>False when it is misaligned and checked for that; the exit is prepared.</returns>
    public static bool Inspect(Core* c, Op* op, ulong address, int size, bool write)
    {
        if ((c->Inspected & CarefulReasons.AlignmentChecks) != 0
            && (address & AlignmentMask(op, size)) != 0
            && SlowAccess.IsCanonical(address)
            && SlowAccess.IsCanonical(address + (ulong)size - 1))
        {
            // Before the page walk: hardware answers #AC for a misaligned access to a page that is not there.
            FlowHandlers.Fault(c, op, ExceptionVector.AlignmentCheck, 0);
            return false;
        }

        if ((c->Inspected & CarefulReasons.Breakpoints) != 0)
        {
            c->DataHits |= DataHits(c, address, (ulong)size, write);
        }

        return true;
    }

    /// <summary>
    /// Alignment that an operand needs. Sources: SDM 3A table 6-7; what it leaves open (vectors, 10 bytes of x87, environments) as AMD's CPUs have it, which
    /// want 16 bytes for XMM and YMM.
    /// </summary>
    private static ulong AlignmentMask(Op* op, int size) => size switch
    {
        1 => 0,
        2 or 14 or 94 => 1,
        4 or 6 or 28 or 108 => 3,
        8 or 10 or 40 => 7,
        16 when (op->Flags & OpFlags.Stack) != 0 => 7,
        16 or 32 => 15,
        _ => 0,
    };

    private static ulong ExecutionHits(Core* c, ulong linear)
    {
        ulong control = c->Cpu.Dr[7];
        ulong hits = 0;
        for (int i = 0; i < DebugControl.Count; i++)
        {
            // The length is to be 0; with another one the behaviour is undefined (SDM 3B §17.2.4).
            if (DebugControl.IsEnabled(control, i) && DebugControl.KindOf(control, i) == BreakpointKind.Execute && c->Cpu.Dr[i] == linear)
            {
                hits |= 1UL << i;
            }
        }

        return hits;
    }

    private static ulong DataHits(Core* c, ulong address, ulong size, bool write)
    {
        ulong control = c->Cpu.Dr[7];
        ulong hits = 0;
        for (int i = 0; i < DebugControl.Count; i++)
        {
            if (!DebugControl.IsEnabled(control, i))
            {
                continue;
            }

            BreakpointKind kind = DebugControl.KindOf(control, i);
            ulong length = DebugControl.LengthOf(control, i);
            ulong watched = c->Cpu.Dr[i] & ~(length - 1);
            bool watches = kind == BreakpointKind.ReadWrite || (kind == BreakpointKind.Write && write);

            // Any byte in common (SDM 3B §17.2.5).
            if (watches && (address - watched < length || watched - address < size))
            {
                hits |= 1UL << i;
            }
        }

        return hits;
    }

    private static void Report(Core* c, ulong status)
    {
        c->HasExit = 1;
        c->Exit = new CpuExit { Kind = CpuExitKind.Exception, Vector = ExceptionVector.Debug, DebugStatus = status };
    }
}
