using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>Moves, extensions, exchanges of byte order, conditional moves and sets.</summary>
internal static unsafe class MoveHandlers
{
    public static Op* Nop(Core* c, Op* op) => op + 1;

    public static Op* RegisterRegister<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        TSize.Write((byte*)c + op->R0, TSize.Load((byte*)c + op->R1));
        return op + 1;
    }

    public static Op* RegisterImmediate<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        TSize.Write((byte*)c + op->R0, (ulong)op->Imm);
        return op + 1;
    }

    public static Op* Load<TSize, TForm>(Core* c, Op* op)
        where TSize : struct, IOperandSize
        where TForm : struct, IAddressForm
    {
        if (!GuestAccess.HitRead<TSize>(c, TForm.Compute(c, op), out byte* place))
        {
            return LoadMissed<TSize>(c, op);
        }

        TSize.Write((byte*)c + op->R0, TSize.Load(place));
        return op + 1;
    }

    public static Op* Store<TSize, TForm>(Core* c, Op* op)
        where TSize : struct, IOperandSize
        where TForm : struct, IAddressForm
    {
        if (!GuestAccess.HitWrite<TSize>(c, TForm.Compute(c, op), out byte* place))
        {
            return StoreMissed<TSize>(c, op);
        }

        TSize.Store(place, TSize.Load((byte*)c + op->R1));
        return op + 1;
    }

    public static Op* StoreImmediate<TSize, TForm>(Core* c, Op* op)
        where TSize : struct, IOperandSize
        where TForm : struct, IAddressForm
    {
        if (!GuestAccess.HitWrite<TSize>(c, TForm.Compute(c, op), out byte* place))
        {
            return StoreImmediateMissed<TSize>(c, op);
        }

        TSize.Store(place, (ulong)op->Imm);
        return op + 1;
    }

    /// <summary>MOVZX, register source.</summary>
    public static Op* ZeroExtendRegister<TTo, TFrom>(Core* c, Op* op)
        where TTo : struct, IOperandSize
        where TFrom : struct, IOperandSize
    {
        TTo.Write((byte*)c + op->R0, TFrom.Load((byte*)c + op->R1));
        return op + 1;
    }

    public static Op* ZeroExtendMemory<TTo, TFrom, TForm>(Core* c, Op* op)
        where TTo : struct, IOperandSize
        where TFrom : struct, IOperandSize
        where TForm : struct, IAddressForm
    {
        if (!GuestAccess.HitRead<TFrom>(c, TForm.Compute(c, op), out byte* place))
        {
            return ZeroExtendMissed<TTo, TFrom>(c, op);
        }

        TTo.Write((byte*)c + op->R0, TFrom.Load(place));
        return op + 1;
    }

    /// <summary>MOVSX and MOVSXD, register source.</summary>
    public static Op* SignExtendRegister<TTo, TFrom>(Core* c, Op* op)
        where TTo : struct, IOperandSize
        where TFrom : struct, IOperandSize
    {
        TTo.Write((byte*)c + op->R0, TFrom.SignExtend(TFrom.Load((byte*)c + op->R1)));
        return op + 1;
    }

    public static Op* SignExtendMemory<TTo, TFrom, TForm>(Core* c, Op* op)
        where TTo : struct, IOperandSize
        where TFrom : struct, IOperandSize
        where TForm : struct, IAddressForm
    {
        if (!GuestAccess.HitRead<TFrom>(c, TForm.Compute(c, op), out byte* place))
        {
            return SignExtendMissed<TTo, TFrom>(c, op);
        }

        TTo.Write((byte*)c + op->R0, TFrom.SignExtend(TFrom.Load(place)));
        return op + 1;
    }

    public static Op* LoadAddress<TSize, TForm>(Core* c, Op* op)
        where TSize : struct, IOperandSize
        where TForm : struct, IAddressForm
    {
        // The segment of LEA's operand is the zero slot: the effective address, not the linear one.
        TSize.Write((byte*)c + op->R0, TForm.Compute(c, op));
        return op + 1;
    }

    public static Op* MoveIfRegister<TCondition, TSize>(Core* c, Op* op)
        where TCondition : struct, ICondition
        where TSize : struct, IOperandSize
    {
        // With a false condition a 32-bit CMOV still clears the upper half (SDM 2A, CMOVcc).
        byte* target = (byte*)c + op->R0;
        ulong value = TCondition.Test(c) ? TSize.Load((byte*)c + op->R1) : TSize.Load(target);
        TSize.Write(target, value);
        return op + 1;
    }

    public static Op* MoveIfMemory<TCondition, TSize>(Core* c, Op* op)
        where TCondition : struct, ICondition
        where TSize : struct, IOperandSize
    {
        // The load happens, and faults, whatever the condition is.
        if (!GuestAccess.Load<TSize>(c, op, FullForm.Compute(c, op), out ulong value))
        {
            return &c->ExitOp;
        }

        byte* target = (byte*)c + op->R0;
        TSize.Write(target, TCondition.Test(c) ? value : TSize.Load(target));
        return op + 1;
    }

    public static Op* SetIf<TCondition>(Core* c, Op* op)
        where TCondition : struct, ICondition =>
        Operands.Write0<Size8>(c, op, TCondition.Test(c) ? 1UL : 0) ? op + 1 : &c->ExitOp;

    public static Op* ExchangeRegister<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        byte* left = (byte*)c + op->R0;
        byte* right = (byte*)c + op->R1;
        ulong value = TSize.Load(left);
        TSize.Write(left, TSize.Load(right));
        TSize.Write(right, value);
        return op + 1;
    }

    /// <summary>XCHG with memory: locked with or without the prefix.</summary>
    public static Op* ExchangeMemory<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        byte* place = GuestAccess.BeginUpdate<TSize>(c, op, FullForm.Compute(c, op));
        if (place is null)
        {
            return &c->ExitOp;
        }

        byte* register = (byte*)c + op->R1;
        TSize.Write(register, TSize.Exchange(place, TSize.Load(register)));
        GuestAccess.EndUpdate(c);
        return op + 1;
    }

    public static Op* ByteSwap<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        byte* target = (byte*)c + op->R0;
        TSize.Write(target, Swap<TSize>(TSize.Load(target)));
        return op + 1;
    }

    /// <summary>MOVBE load.</summary>
    public static Op* LoadSwapped<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!GuestAccess.Load<TSize>(c, op, FullForm.Compute(c, op), out ulong value))
        {
            return &c->ExitOp;
        }

        TSize.Write((byte*)c + op->R0, Swap<TSize>(value));
        return op + 1;
    }

    /// <summary>MOVBE store.</summary>
    public static Op* StoreSwapped<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize =>
        GuestAccess.Store<TSize>(c, op, FullForm.Compute(c, op), Swap<TSize>(TSize.Load((byte*)c + op->R1))) ? op + 1 : &c->ExitOp;

    /// <summary>CBW, CWDE, CDQE: the accumulator's lower half is extended.</summary>
    public static Op* ExtendAccumulator<TTo, TFrom>(Core* c, Op* op)
        where TTo : struct, IOperandSize
        where TFrom : struct, IOperandSize
    {
        TTo.Write((byte*)c, TFrom.SignExtend(TFrom.Load((byte*)c)));
        return op + 1;
    }

    /// <summary>CWD, CDQ, CQO: RDX becomes the sign of RAX.</summary>
    public static Op* SignToData<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        TSize.Write((byte*)&c->Cpu.Gpr[2], (ulong)((long)TSize.SignExtend(c->Cpu.Gpr[0]) >> 63));
        return op + 1;
    }

    public static Op* Translate(Core* c, Op* op)
    {
        ulong offset = c->Cpu.Gpr[3] + (byte)c->Cpu.Gpr[0];
        if ((op->Flags & OpFlags.Address32) != 0)
        {
            offset = (uint)offset;
        }

        if (!GuestAccess.Load<Size8>(c, op, offset + ((ulong*)c)[op->Segment], out ulong value))
        {
            return &c->ExitOp;
        }

        *(byte*)c = (byte)value;
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* LoadMissed<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!GuestAccess.Load<TSize>(c, op, FullForm.Compute(c, op), out ulong value))
        {
            return &c->ExitOp;
        }

        TSize.Write((byte*)c + op->R0, value);
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* StoreMissed<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize =>
        GuestAccess.Store<TSize>(c, op, FullForm.Compute(c, op), TSize.Load((byte*)c + op->R1)) ? op + 1 : &c->ExitOp;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* StoreImmediateMissed<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize =>
        GuestAccess.Store<TSize>(c, op, FullForm.Compute(c, op), (ulong)op->Imm) ? op + 1 : &c->ExitOp;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* ZeroExtendMissed<TTo, TFrom>(Core* c, Op* op)
        where TTo : struct, IOperandSize
        where TFrom : struct, IOperandSize
    {
        if (!GuestAccess.Load<TFrom>(c, op, FullForm.Compute(c, op), out ulong value))
        {
            return &c->ExitOp;
        }

        TTo.Write((byte*)c + op->R0, value);
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* SignExtendMissed<TTo, TFrom>(Core* c, Op* op)
        where TTo : struct, IOperandSize
        where TFrom : struct, IOperandSize
    {
        if (!GuestAccess.Load<TFrom>(c, op, FullForm.Compute(c, op), out ulong value))
        {
            return &c->ExitOp;
        }

        TTo.Write((byte*)c + op->R0, TFrom.SignExtend(value));
        return op + 1;
    }

    private static ulong Swap<TSize>(ulong value)
        where TSize : struct, IOperandSize => TSize.Bytes switch
        {
            // BSWAP of a 16-bit register is undefined; processors give 0 (SDM 2A, BSWAP). MOVBE of 16 bits swaps.
            2 => BinaryPrimitives.ReverseEndianness((ushort)value),
            4 => BinaryPrimitives.ReverseEndianness((uint)value),
            _ => BinaryPrimitives.ReverseEndianness(value),
        };
}
