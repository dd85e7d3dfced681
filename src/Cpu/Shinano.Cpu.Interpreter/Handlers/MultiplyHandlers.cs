using System.Runtime.CompilerServices;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>Multiplication and division.</summary>
internal static unsafe class MultiplyHandlers
{
    /// <summary>IMUL r, r/m.</summary>
    public static Op* SignedTwo<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize =>
        Operands.Read1<TSize>(c, op, out ulong right) ? Signed<TSize>(c, op, Operands.Get<TSize>(c, op->R0), right) : &c->ExitOp;

    /// <summary>IMUL r, r/m, imm.</summary>
    public static Op* SignedThree<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize =>
        Operands.Read1<TSize>(c, op, out ulong left) ? Signed<TSize>(c, op, left, (ulong)op->Imm) : &c->ExitOp;

    /// <summary>MUL r/m.</summary>
    public static Op* Unsigned<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read0<TSize>(c, op, out ulong right))
        {
            return &c->ExitOp;
        }

        ulong left = TSize.Load((byte*)c);
        ulong high;
        ulong low;
        if (TSize.Bytes == 8)
        {
            high = Math.BigMul(left, right, out low);
        }
        else
        {
            ulong product = left * right;
            low = product;
            high = product >> (8 * TSize.Bytes);
        }

        WriteWide<TSize>(c, low, high);
        ulong carry = high != 0 ? 1UL : 0;
        ArithmeticFlags.SetResult<TSize>(c, low, carry, carry);
        return op + 1;
    }

    /// <summary>IMUL r/m.</summary>
    public static Op* SignedWide<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read0<TSize>(c, op, out ulong right))
        {
            return &c->ExitOp;
        }

        long a = (long)TSize.SignExtend(TSize.Load((byte*)c));
        long b = (long)TSize.SignExtend(right);
        ulong low;
        ulong high;
        bool fits;
        if (TSize.Bytes == 8)
        {
            long top = Math.BigMul(a, b, out long bottom);
            low = (ulong)bottom;
            high = (ulong)top;
            fits = top == bottom >> 63;
        }
        else
        {
            long product = a * b;
            low = (ulong)product;
            high = (ulong)(product >> (8 * TSize.Bytes));
            fits = (long)TSize.SignExtend(low) == product;
        }

        WriteWide<TSize>(c, low, high);
        ulong carry = fits ? 0UL : 1;
        ArithmeticFlags.SetResult<TSize>(c, low, carry, carry);
        return op + 1;
    }

    /// <summary>MULX: no flags. R0 gets the high half, R2 (second operand) the low one; R1 is the source register.</summary>
    public static Op* WithoutFlags<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong right))
        {
            return &c->ExitOp;
        }

        ulong left = TSize.Load((byte*)&c->Cpu.Gpr[2]);
        ulong low;
        ulong high;
        if (TSize.Bytes == 8)
        {
            high = Math.BigMul(left, right, out low);
        }
        else
        {
            low = left * right;
            high = low >> 32;
        }

        // When both targets are one register it ends with the high half (SDM 2B, MULX).
        Operands.Set<TSize>(c, op->R2, low);
        Operands.Set<TSize>(c, op->R0, high);
        return op + 1;
    }

    /// <summary>DIV r/m.</summary>
    public static Op* Divide<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read0<TSize>(c, op, out ulong divisor))
        {
            return &c->ExitOp;
        }

        if (divisor == 0)
        {
            return FlowHandlers.Fault(c, op, ExceptionVector.DivideError, 0);
        }

        ulong quotient;
        ulong remainder;
        if (TSize.Bytes == 8)
        {
            ulong high = c->Cpu.Gpr[2];
            if (high >= divisor)
            {
                return FlowHandlers.Fault(c, op, ExceptionVector.DivideError, 0);
            }

            if (high == 0)
            {
                (quotient, remainder) = Math.DivRem(c->Cpu.Gpr[0], divisor);
            }
            else
            {
                (UInt128 wide, UInt128 rest) = UInt128.DivRem(new UInt128(high, c->Cpu.Gpr[0]), divisor);
                quotient = (ulong)wide;
                remainder = (ulong)rest;
            }
        }
        else
        {
            (quotient, remainder) = Math.DivRem(ReadWide<TSize>(c), divisor);
            if (TSize.Truncate(quotient) != quotient)
            {
                return FlowHandlers.Fault(c, op, ExceptionVector.DivideError, 0);
            }
        }

        WriteWide<TSize>(c, quotient, remainder);
        return op + 1;
    }

    /// <summary>IDIV r/m.</summary>
    public static Op* DivideSigned<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read0<TSize>(c, op, out ulong raw))
        {
            return &c->ExitOp;
        }

        Int128 divisor = (long)TSize.SignExtend(raw);
        Int128 dividend = TSize.Bytes switch
        {
            1 => (short)ReadWide<TSize>(c),
            2 => (int)ReadWide<TSize>(c),
            4 => (long)ReadWide<TSize>(c),
            _ => new Int128(c->Cpu.Gpr[2], c->Cpu.Gpr[0]),
        };

        // The quotient of the smallest dividend by -1 overflows Int128 too: caught before the division.
        if (divisor == 0 || (divisor == -1 && dividend == Int128.MinValue))
        {
            return FlowHandlers.Fault(c, op, ExceptionVector.DivideError, 0);
        }

        Int128 quotient;
        Int128 remainder;
        if (dividend >= long.MinValue && dividend <= long.MaxValue && divisor != -1)
        {
            (long q, long r) = Math.DivRem((long)dividend, (long)divisor);
            quotient = q;
            remainder = r;
        }
        else
        {
            quotient = dividend / divisor;
            remainder = dividend - (quotient * divisor);
        }

        Int128 limit = Int128.One << ((8 * TSize.Bytes) - 1);
        if (quotient >= limit || quotient < -limit)
        {
            return FlowHandlers.Fault(c, op, ExceptionVector.DivideError, 0);
        }

        WriteWide<TSize>(c, (ulong)(long)quotient, (ulong)(long)remainder);
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* Signed<TSize>(Core* c, Op* op, ulong left, ulong right)
        where TSize : struct, IOperandSize
    {
        long a = (long)TSize.SignExtend(left);
        long b = (long)TSize.SignExtend(right);
        ulong low;
        bool fits;
        if (TSize.Bytes == 8)
        {
            long top = Math.BigMul(a, b, out long bottom);
            low = (ulong)bottom;
            fits = top == bottom >> 63;
        }
        else
        {
            long product = a * b;
            low = (ulong)product;
            fits = (long)TSize.SignExtend(low) == product;
        }

        Operands.Set<TSize>(c, op->R0, low);
        ulong carry = fits ? 0UL : 1;
        ArithmeticFlags.SetResult<TSize>(c, low, carry, carry);
        return op + 1;
    }

    /// <summary>AX, DX:AX or EDX:EAX.</summary>
    private static ulong ReadWide<TSize>(Core* c)
        where TSize : struct, IOperandSize => TSize.Bytes switch
        {
            1 => (ushort)c->Cpu.Gpr[0],
            2 => (ushort)c->Cpu.Gpr[0] | ((ulong)(ushort)c->Cpu.Gpr[2] << 16),
            _ => (uint)c->Cpu.Gpr[0] | (c->Cpu.Gpr[2] << 32),
        };

    /// <summary>Low and high halves into AL:AH, or the accumulator and data registers.</summary>
    private static void WriteWide<TSize>(Core* c, ulong low, ulong high)
        where TSize : struct, IOperandSize
    {
        if (TSize.Bytes == 1)
        {
            *(ushort*)c = (ushort)((byte)low | (high << 8));
        }
        else
        {
            TSize.Write((byte*)c, low);
            TSize.Write((byte*)&c->Cpu.Gpr[2], high);
        }
    }
}
