using System.Runtime.CompilerServices;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>PUSH, POP, ENTER, LEAVE and the flags' ways through the stack.</summary>
internal static unsafe class StackHandlers
{
    private const int Rsp = 4;
    private const int Rbp = 5;

    public static Op* PushRegister(Core* c, Op* op)
    {
        ulong stack = c->Cpu.Gpr[Rsp] - 8;
        if (!GuestAccess.HitWrite<Size64>(c, stack, out byte* place))
        {
            return PushRegisterMissed(c, op);
        }

        *(ulong*)place = *(ulong*)((byte*)c + op->R0);
        c->Cpu.Gpr[Rsp] = stack;
        return op + 1;
    }

    public static Op* PopRegister(Core* c, Op* op)
    {
        ulong stack = c->Cpu.Gpr[Rsp];
        if (!GuestAccess.HitRead<Size64>(c, stack, out byte* place))
        {
            return PopRegisterMissed(c, op);
        }

        // In this order POP RSP ends with the value loaded.
        ulong value = *(ulong*)place;
        c->Cpu.Gpr[Rsp] = stack + 8;
        *(ulong*)((byte*)c + op->R0) = value;
        return op + 1;
    }

    /// <summary>PUSH of an immediate, of memory, or of 16 bits.</summary>
    public static Op* Push<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if ((op->Flags & OpFlags.Variant) != 0)
        {
            return PushValue<TSize>(c, op, (ulong)op->Imm);
        }

        return Operands.Read0<TSize>(c, op, out ulong value) ? PushValue<TSize>(c, op, value) : OperandFault(c, op);
    }

    /// <summary>POP to memory or of 16 bits. The address is computed after RSP was incremented (SDM 2B, POP).</summary>
    public static Op* Pop<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong stack = c->Cpu.Gpr[Rsp];
        if (!GuestAccess.Load<TSize>(c, op, stack, out ulong value))
        {
            return &c->ExitOp;
        }

        c->Cpu.Gpr[Rsp] = stack + (ulong)TSize.Bytes;
        if (!Operands.Write0<TSize>(c, op, value))
        {
            c->Cpu.Gpr[Rsp] = stack;
            return OperandFault(c, op);
        }

        return op + 1;
    }

    public static Op* Leave<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong frame = c->Cpu.Gpr[Rbp];
        if (!GuestAccess.Load<TSize>(c, op, frame, out ulong value))
        {
            return &c->ExitOp;
        }

        c->Cpu.Gpr[Rsp] = frame + (ulong)TSize.Bytes;
        TSize.Write((byte*)&c->Cpu.Gpr[Rbp], value);
        return op + 1;
    }

    /// <summary>ENTER: Imm holds the size, R2 the nesting level. SDM 2A, ENTER.</summary>
    public static Op* Enter<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        int level = op->R2 & 31;
        ulong size = (ulong)TSize.Bytes;
        ulong stack = c->Cpu.Gpr[Rsp] - size;
        ulong frame = stack;
        if (!GuestAccess.Store<TSize>(c, op, stack, c->Cpu.Gpr[Rbp]))
        {
            return &c->ExitOp;
        }

        for (int i = 1; i < level; i++)
        {
            if (!GuestAccess.Load<TSize>(c, op, c->Cpu.Gpr[Rbp] - (size * (ulong)i), out ulong outer))
            {
                return &c->ExitOp;
            }

            stack -= size;
            if (!GuestAccess.Store<TSize>(c, op, stack, outer))
            {
                return &c->ExitOp;
            }
        }

        if (level > 0)
        {
            stack -= size;
            if (!GuestAccess.Store<TSize>(c, op, stack, frame))
            {
                return &c->ExitOp;
            }
        }

        stack -= (ulong)op->Imm;

        // The last thing is a write probe at the new top (SDM 2A, ENTER).
        if (GuestAccess.BeginUpdate<TSize>(c, op, stack) is null)
        {
            return &c->ExitOp;
        }

        GuestAccess.EndUpdate(c);
        TSize.Write((byte*)&c->Cpu.Gpr[Rbp], frame);
        c->Cpu.Gpr[Rsp] = stack;
        return op + 1;
    }

    public static Op* PushFlags<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize =>
        PushValue<TSize>(c, op, ArithmeticFlags.ReadAll(c) & ~(Rflags.Virtual8086 | Rflags.Resume));

    public static Op* PopFlags<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong stack = c->Cpu.Gpr[Rsp];
        if (!GuestAccess.Load<TSize>(c, op, stack, out ulong value))
        {
            return &c->ExitOp;
        }

        c->Cpu.Gpr[Rsp] = stack + (ulong)TSize.Bytes;
        ulong before = c->Cpu.Rflags;
        LoadFlags(c, value, TSize.Bytes == 2 ? 0xFFFFUL : 0xFFFF_FFFF);
        return CarefulExecution.FlagsMatter(before, c->Cpu.Rflags) ? FlowHandlers.LeaveAfter(c, op) : op + 1;
    }

    /// <summary>Takes RFLAGS from a value as POPF and IRET do at the current privilege (SDM 2B, POPF, table 4-16).</summary>
    public static void LoadFlags(Core* c, ulong value, ulong mask)
    {
        ulong changeable = Rflags.Arithmetic | Rflags.Trap | Rflags.Direction | Rflags.NestedTask | Rflags.AlignmentCheck | Rflags.Identification;
        ulong privilege = (c->Cpu.Rflags & Rflags.IoPrivilege) >> 12;
        if (c->Cpu.Cpl <= privilege)
        {
            changeable |= Rflags.Interrupt;
        }

        if (c->Cpu.Cpl == 0)
        {
            changeable |= Rflags.IoPrivilege;
        }

        changeable &= mask;
        c->Cpu.Rflags = (c->Cpu.Rflags & ~(changeable | Rflags.Resume)) | (value & changeable) | Rflags.AlwaysOne;
        ArithmeticFlags.Write(c, value);
    }

    public static Op* LoadAh(Core* c, Op* op)
    {
        *((byte*)c + 1) = (byte)((ArithmeticFlags.Read(c) & 0xD5) | 2);
        return op + 1;
    }

    public static Op* StoreAh(Core* c, Op* op)
    {
        ArithmeticFlags.Write(c, (ArithmeticFlags.Read(c) & Rflags.Overflow) | (*((byte*)c + 1) & 0xD5UL));
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* PushRegisterMissed(Core* c, Op* op) => PushValue<Size64>(c, op, *(ulong*)((byte*)c + op->R0));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* PopRegisterMissed(Core* c, Op* op)
    {
        ulong stack = c->Cpu.Gpr[Rsp];
        if (!GuestAccess.Load<Size64>(c, op, stack, out ulong value))
        {
            return &c->ExitOp;
        }

        c->Cpu.Gpr[Rsp] = stack + 8;
        *(ulong*)((byte*)c + op->R0) = value;
        return op + 1;
    }

    // The op counts as a stack access; R2 says that its explicit operand is none.
    private static Op* OperandFault(Core* c, Op* op)
    {
        if (op->R2 != 0 && c->Exit.Vector == ExceptionVector.StackFault)
        {
            c->Exit.Vector = ExceptionVector.GeneralProtection;
        }

        return &c->ExitOp;
    }

    private static Op* PushValue<TSize>(Core* c, Op* op, ulong value)
        where TSize : struct, IOperandSize
    {
        ulong stack = c->Cpu.Gpr[Rsp] - (ulong)TSize.Bytes;
        if (!GuestAccess.Store<TSize>(c, op, stack, value))
        {
            return &c->ExitOp;
        }

        c->Cpu.Gpr[Rsp] = stack;
        return op + 1;
    }
}
