using System.Runtime.CompilerServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>A shift or rotation as a type. The count was masked to 5 or 6 bits and is not 0.</summary>
internal unsafe interface IShift
{
    static abstract ulong Apply<TSize>(Core* c, ulong value, int count)
        where TSize : struct, IOperandSize;
}

internal unsafe struct ShiftLeft : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong value, int count)
        where TSize : struct, IOperandSize
    {
        int bits = 8 * TSize.Bytes;
        ulong result = value << count;
        ulong carry = (bits == 64 ? value >> (64 - count) : result >> bits) & 1;
        ArithmeticFlags.SetResult<TSize>(c, result, carry, (TSize.SignExtend(result) >> 63) ^ carry);
        return result;
    }
}

internal unsafe struct ShiftRight : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong value, int count)
        where TSize : struct, IOperandSize
    {
        ulong result = value >> count;

        // OF is the operand's top bit for a count of 1 and undefined else; as the exclusive or of the result's two top bits it is right for 1.
        ulong top = TSize.SignExtend(result) ^ TSize.SignExtend(result << 1);
        ArithmeticFlags.SetResult<TSize>(c, result, (value >> (count - 1)) & 1, top >> 63);
        return result;
    }
}

internal unsafe struct ShiftArithmetic : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong value, int count)
        where TSize : struct, IOperandSize
    {
        long wide = (long)TSize.SignExtend(value);
        ulong result = (ulong)(wide >> count);
        ArithmeticFlags.SetResult<TSize>(c, result, (ulong)(wide >> (count - 1)) & 1, 0);
        return result;
    }
}

internal unsafe struct RotateLeft : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong value, int count)
        where TSize : struct, IOperandSize
    {
        int bits = 8 * TSize.Bytes;
        int by = count & (bits - 1);
        ulong result = by == 0 ? value : TSize.Truncate((value << by) | (value >> (bits - by)));
        ArithmeticFlags.SetCarryOverflow(c, result & 1, (result & 1) ^ (TSize.SignExtend(result) >> 63));
        return result;
    }
}

internal unsafe struct RotateRight : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong value, int count)
        where TSize : struct, IOperandSize
    {
        int bits = 8 * TSize.Bytes;
        int by = count & (bits - 1);
        ulong result = by == 0 ? value : TSize.Truncate((value >> by) | (value << (bits - by)));
        ulong carry = TSize.SignExtend(result) >> 63;
        ArithmeticFlags.SetCarryOverflow(c, carry, carry ^ (TSize.SignExtend(result << 1) >> 63));
        return result;
    }
}

internal unsafe struct RotateCarryLeft : IShift
{
    public static ulong Apply<TSize>(Core* c, ulong value, int count)
        where TSize : struct, IOperandSize
    {
        int bits = 8 * TSize.Bytes;
        ulong carry = ArithmeticFlags.Carry(c);
        ulong result = value;
        for (int i = count % (bits + 1); i > 0; i--)
        {
            ulong next = TSize.SignExtend(result) >> 63;
            result = TSize.Truncate((result << 1) | carry);
            carry = next;
        }

        ArithmeticFlags.SetCarryOverflow(c, carry, carry ^ (TSize.SignExtend(result) >> 63));
        return result;
    }
}

internal unsafe struct RotateCarryRight : IShift
{
    public static ulong Apply<TSize>(Core* c, ulong value, int count)
        where TSize : struct, IOperandSize
    {
        int bits = 8 * TSize.Bytes;
        ulong carry = ArithmeticFlags.Carry(c);
        ulong result = value;
        for (int i = count % (bits + 1); i > 0; i--)
        {
            ulong next = result & 1;
            result = (result >> 1) | (carry << (bits - 1));
            carry = next;
        }

        ArithmeticFlags.SetCarryOverflow(c, carry, (TSize.SignExtend(result) ^ TSize.SignExtend(result << 1)) >> 63);
        return result;
    }
}

/// <summary>Shifts and rotations.</summary>
internal static unsafe class ShiftHandlers
{
    /// <summary>Register by an immediate that is not 0 after masking.</summary>
    public static Op* RegisterImmediate<TShift, TSize>(Core* c, Op* op)
        where TShift : struct, IShift
        where TSize : struct, IOperandSize
    {
        byte* target = (byte*)c + op->R0;
        TSize.Write(target, TShift.Apply<TSize>(c, TSize.Load(target), (int)op->Imm));
        return op + 1;
    }

    /// <summary>Any place, by CL (Variant) or an immediate.</summary>
    public static Op* Any<TShift, TSize>(Core* c, Op* op)
        where TShift : struct, IShift
        where TSize : struct, IOperandSize
    {
        byte* place = Operands.Begin0<TSize>(c, op);
        if (place is null)
        {
            return &c->ExitOp;
        }

        int count = Count<TSize>(c, op);
        ulong value = TSize.Load(place);
        Operands.End0<TSize>(c, op, place, count == 0 ? value : TShift.Apply<TSize>(c, value, count));
        return op + 1;
    }

    /// <summary>SHLD.</summary>
    public static Op* DoubleLeft<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize => Double<TSize>(c, op, left: true);

    /// <summary>SHRD.</summary>
    public static Op* DoubleRight<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize => Double<TSize>(c, op, left: false);

    /// <summary>SARX, SHLX, SHRX (Imm 0, 1, 2): no flags.</summary>
    public static Op* WithoutFlags<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        int count = (int)((byte*)c)[op->R2] & ((8 * TSize.Bytes) - 1);
        ulong result = op->Imm switch
        {
            0 => (ulong)((long)TSize.SignExtend(value) >> count),
            1 => value << count,
            _ => value >> count,
        };
        Operands.Set<TSize>(c, op->R0, result);
        return op + 1;
    }

    /// <summary>RORX.</summary>
    public static Op* RotateWithoutFlags<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        int bits = 8 * TSize.Bytes;
        int count = (int)op->Imm & (bits - 1);
        Operands.Set<TSize>(c, op->R0, count == 0 ? value : (value >> count) | (value << (bits - count)));
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Count<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        int mask = TSize.Bytes == 8 ? 63 : 31;
        return ((op->Flags & OpFlags.Variant) != 0 ? (byte)c->Cpu.Gpr[1] : (int)op->Imm) & mask;
    }

    private static Op* Double<TSize>(Core* c, Op* op, bool left)
        where TSize : struct, IOperandSize
    {
        byte* place = Operands.Begin0<TSize>(c, op);
        if (place is null)
        {
            return &c->ExitOp;
        }

        int bits = 8 * TSize.Bytes;
        int count = Count<TSize>(c, op);
        ulong value = TSize.Load(place);
        ulong other = Operands.Get<TSize>(c, op->R1);
        if (count == 0)
        {
            Operands.End0<TSize>(c, op, place, value);
            return op + 1;
        }

        ulong result;
        ulong carry;
        if (count > bits)
        {
            // Only 16-bit operands get here; SDM 2B leaves the result undefined. Ours is what rotating through both registers gives.
            UInt128 chain = left ? ((UInt128)value << 32) | (other << 16) | value : ((UInt128)value << 32) | (other << 16) | value;
            result = left ? (ulong)((chain << count) >> 32) : (ulong)(chain >> count);
            carry = left ? (ulong)(chain >> (48 - count)) & 1 : (ulong)(chain >> (count - 1)) & 1;
        }
        else if (left)
        {
            result = (count == 64 ? 0 : value << count) | (other >> (bits - count));
            carry = (value >> (bits - count)) & 1;
        }
        else
        {
            result = (value >> count) | (other << (bits - count));
            carry = (value >> (count - 1)) & 1;
        }

        ulong overflow = (TSize.SignExtend(result) ^ TSize.SignExtend(value)) >> 63;
        ArithmeticFlags.SetResult<TSize>(c, result, carry, overflow);
        Operands.End0<TSize>(c, op, place, result);
        return op + 1;
    }
}
