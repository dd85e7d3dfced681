using System.Runtime.CompilerServices;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>Near jumps, calls and returns. A non-canonical target is a fault of the branch itself (SDM 2, CALL, JMP and RET).</summary>
internal static unsafe class BranchHandlers
{
    private const ulong Rsp = 4;

    /// <summary>Conditional jump forward inside the page.</summary>
    public static Op* JumpIf<TCondition>(Core* c, Op* op)
        where TCondition : struct, ICondition
    {
        if (!TCondition.Test(c))
        {
            return op + 1;
        }

        c->Count += op->Position + 1UL;
        Op* target = op->Target;
        return target is not null ? target : FlowHandlers.Chain(c, op);
    }

    /// <summary>Conditional jump backward inside the page: polls.</summary>
    public static Op* JumpBackIf<TCondition>(Core* c, Op* op)
        where TCondition : struct, ICondition
    {
        if (!TCondition.Test(c))
        {
            return op + 1;
        }

        c->Count += op->Position + 1UL;
        Op* target = op->Target;
        return target is not null && Volatile.Read(ref c->Attention) == 0 ? target : FlowHandlers.Chain(c, op);
    }

    /// <summary>Conditional jump out of the page, or from a private slot.</summary>
    public static Op* JumpFarIf<TCondition>(Core* c, Op* op)
        where TCondition : struct, ICondition
    {
        if (!TCondition.Test(c))
        {
            return op + 1;
        }

        c->Count += op->Position + 1UL;
        return FlowHandlers.Lookup(c, c->PageLinear + (ulong)op->Imm);
    }

    public static Op* Jump(Core* c, Op* op)
    {
        c->Count += op->Position + 1UL;
        Op* target = op->Target;
        return target is not null && Volatile.Read(ref c->Attention) == 0 ? target : FlowHandlers.Chain(c, op);
    }

    public static Op* JumpFar(Core* c, Op* op)
    {
        c->Count += op->Position + 1UL;
        return FlowHandlers.Lookup(c, c->PageLinear + (ulong)op->Imm);
    }

    public static Op* Call(Core* c, Op* op)
    {
        ulong stack = c->Cpu.Gpr[Rsp] - 8;
        if (!GuestAccess.HitWrite<Size64>(c, stack, out byte* place))
        {
            return CallMissed(c, op);
        }

        *(ulong*)place = c->PageLinear + (ulong)op->NextOffset;
        c->Cpu.Gpr[Rsp] = stack;
        c->Count += op->Position + 1UL;
        Op* target = op->Target;
        return target is not null && Volatile.Read(ref c->Attention) == 0 ? target : FlowHandlers.Chain(c, op);
    }

    public static Op* CallFar(Core* c, Op* op)
    {
        ulong stack = c->Cpu.Gpr[Rsp] - 8;
        if (!GuestAccess.HitWrite<Size64>(c, stack, out byte* place))
        {
            return CallMissed(c, op);
        }

        *(ulong*)place = c->PageLinear + (ulong)op->NextOffset;
        c->Cpu.Gpr[Rsp] = stack;
        c->Count += op->Position + 1UL;
        return FlowHandlers.Lookup(c, c->PageLinear + (ulong)op->Imm);
    }

    public static Op* Return(Core* c, Op* op)
    {
        ulong stack = c->Cpu.Gpr[Rsp];
        if (!GuestAccess.HitRead<Size64>(c, stack, out byte* place))
        {
            return ReturnMissed(c, op);
        }

        ulong target = *(ulong*)place;
        if (!SlowAccess.IsCanonical(target))
        {
            return FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, 0);
        }

        c->Cpu.Gpr[Rsp] = stack + 8 + (ulong)op->Imm;
        c->Count += op->Position + 1UL;
        return FlowHandlers.Lookup(c, target);
    }

    /// <summary>JMP r/m64.</summary>
    public static Op* JumpIndirect(Core* c, Op* op)
    {
        if (!Operands.Read0<Size64>(c, op, out ulong target))
        {
            return &c->ExitOp;
        }

        if (!SlowAccess.IsCanonical(target))
        {
            return FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, 0);
        }

        c->Count += op->Position + 1UL;
        return FlowHandlers.Lookup(c, target);
    }

    /// <summary>CALL r/m64.</summary>
    public static Op* CallIndirect(Core* c, Op* op)
    {
        ulong stack = c->Cpu.Gpr[Rsp] - 8;
        if (!Operands.Read0<Size64>(c, op, out ulong target))
        {
            return &c->ExitOp;
        }

        byte* place = GuestAccess.BeginUpdate<Size64>(c, op, stack);
        if (place is null)
        {
            // The op's flags describe the explicit operand; the push is through SS.
            if (c->Exit.Vector == ExceptionVector.GeneralProtection)
            {
                c->Exit.Vector = ExceptionVector.StackFault;
            }

            return &c->ExitOp;
        }

        bool canonical = SlowAccess.IsCanonical(target);
        if (canonical)
        {
            *(ulong*)place = c->PageLinear + (ulong)op->NextOffset;
        }

        GuestAccess.EndUpdate(c);
        if (!canonical)
        {
            return FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, 0);
        }

        c->Cpu.Gpr[Rsp] = stack;
        c->Count += op->Position + 1UL;
        return FlowHandlers.Lookup(c, target);
    }

    /// <summary>JRCXZ and JECXZ (Size 8 or 4).</summary>
    public static Op* JumpIfCountZero(Core* c, Op* op)
    {
        ulong count = op->Size == 8 ? c->Cpu.Gpr[1] : (uint)c->Cpu.Gpr[1];
        if (count != 0)
        {
            return op + 1;
        }

        return JumpFar(c, op);
    }

    /// <summary>LOOP (R0 0), LOOPE (1), LOOPNE (2); the count register's size is the address size.</summary>
    public static Op* Loop(Core* c, Op* op)
    {
        ulong count;
        if (op->Size == 8)
        {
            count = --c->Cpu.Gpr[1];
        }
        else
        {
            count = (uint)(c->Cpu.Gpr[1] - 1);
            c->Cpu.Gpr[1] = count;
        }

        bool taken = count != 0 && (op->R0 == 0 || (op->R0 == 1) == WhenEqual.Test(c));
        return taken ? JumpFar(c, op) : op + 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* CallMissed(Core* c, Op* op)
    {
        ulong stack = c->Cpu.Gpr[Rsp] - 8;
        if (!GuestAccess.Store<Size64>(c, op, stack, c->PageLinear + (ulong)op->NextOffset))
        {
            return &c->ExitOp;
        }

        c->Cpu.Gpr[Rsp] = stack;
        c->Count += op->Position + 1UL;
        return FlowHandlers.Lookup(c, c->PageLinear + (ulong)op->Imm);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* ReturnMissed(Core* c, Op* op)
    {
        ulong stack = c->Cpu.Gpr[Rsp];
        if (!GuestAccess.Load<Size64>(c, op, stack, out ulong target))
        {
            return &c->ExitOp;
        }

        if (!SlowAccess.IsCanonical(target))
        {
            return FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, 0);
        }

        c->Cpu.Gpr[Rsp] = stack + 8 + (ulong)op->Imm;
        c->Count += op->Position + 1UL;
        return FlowHandlers.Lookup(c, target);
    }
}
