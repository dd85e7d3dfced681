using System.Numerics;
using System.Runtime.Intrinsics.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>Bit scans, counts, tests, and the BMI groups.</summary>
internal static unsafe class BitHandlers
{
    public static Op* ScanForward<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        // A zero source leaves the target as it was: documented by AMD, done by all (APM 3, BSF). The other flags are undefined.
        if (value != 0)
        {
            Operands.Set<TSize>(c, op->R0, (ulong)BitOperations.TrailingZeroCount(value));
        }

        ArithmeticFlags.SetZero(c, value == 0);
        return op + 1;
    }

    public static Op* ScanReverse<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        if (value != 0)
        {
            Operands.Set<TSize>(c, op->R0, (ulong)(63 - BitOperations.LeadingZeroCount(value)));
        }

        ArithmeticFlags.SetZero(c, value == 0);
        return op + 1;
    }

    public static Op* TrailingZeros<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        ulong result = value == 0 ? 8UL * (ulong)TSize.Bytes : (ulong)BitOperations.TrailingZeroCount(value);
        Operands.Set<TSize>(c, op->R0, result);
        ArithmeticFlags.SetCarry(c, value == 0 ? 1UL : 0);
        ArithmeticFlags.SetZero(c, result == 0);
        return op + 1;
    }

    public static Op* LeadingZeros<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        ulong result = (ulong)(BitOperations.LeadingZeroCount(value) - (64 - (8 * TSize.Bytes)));
        Operands.Set<TSize>(c, op->R0, result);
        ArithmeticFlags.SetCarry(c, value == 0 ? 1UL : 0);
        ArithmeticFlags.SetZero(c, result == 0);
        return op + 1;
    }

    public static Op* PopulationCount<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        Operands.Set<TSize>(c, op->R0, (ulong)BitOperations.PopCount(value));

        // All flags but ZF are cleared (SDM 2B, POPCNT): SF and PF of the number 1 are 0.
        c->FlagZero = value;
        c->FlagSign = 1;
        c->FlagCarries = 0;
        return op + 1;
    }

    /// <summary>BT.</summary>
    public static Op* Test<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong number = BitNumber<TSize>(c, op, out ulong address);
        ulong value;
        if ((op->Flags & OpFlags.Memory) == 0)
        {
            value = Operands.Get<TSize>(c, op->R0);
        }
        else if (!GuestAccess.Load<TSize>(c, op, address, out value))
        {
            return &c->ExitOp;
        }

        ArithmeticFlags.SetCarry(c, (value >> (int)number) & 1);
        return op + 1;
    }

    public static Op* TestAndSet<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize => Change<TSize>(c, op, 0);

    public static Op* TestAndReset<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize => Change<TSize>(c, op, 1);

    public static Op* TestAndComplement<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize => Change<TSize>(c, op, 2);

    /// <summary>CRC32: R0 is 32 or 64 bits, the source of TSize.</summary>
    public static Op* Crc32<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        ulong* target = (ulong*)((byte*)c + op->R0);
        uint crc = (uint)*target;
        crc = TSize.Bytes switch
        {
            1 => BitOperations.Crc32C(crc, (byte)value),
            2 => BitOperations.Crc32C(crc, (ushort)value),
            4 => BitOperations.Crc32C(crc, (uint)value),
            _ => BitOperations.Crc32C(crc, value),
        };
        *target = crc;
        return op + 1;
    }

    /// <summary>ANDN: R2 is the inverted source, R1 or memory the other.</summary>
    public static Op* AndNot<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        ulong result = ~Operands.Get<TSize>(c, op->R2) & value;
        Operands.Set<TSize>(c, op->R0, result);
        ArithmeticFlags.SetLogic<TSize>(c, result);
        return op + 1;
    }

    /// <summary>BLSI, BLSMSK, BLSR (Imm 0, 1, 2).</summary>
    public static Op* LowestBit<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        ulong result = op->Imm switch { 0 => value & (0 - value), 1 => value ^ (value - 1), _ => value & (value - 1) };
        bool carry = op->Imm == 0 ? value != 0 : value == 0;
        Operands.Set<TSize>(c, op->R0, result);
        ArithmeticFlags.SetResult<TSize>(c, result, carry ? 1UL : 0, 0);
        return op + 1;
    }

    public static Op* ExtractField<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        ulong control = Operands.Get<TSize>(c, op->R2);
        int start = (int)(control & 0xFF);
        int length = (int)((control >> 8) & 0xFF);
        ulong result = start >= 64 ? 0 : value >> start;
        result = length >= 64 ? result : result & ((1UL << length) - 1);
        Operands.Set<TSize>(c, op->R0, result);
        ArithmeticFlags.SetLogic<TSize>(c, result);
        return op + 1;
    }

    public static Op* ZeroHighBits<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        int bits = 8 * TSize.Bytes;
        int count = ((byte*)c)[op->R2];
        ulong result = count >= bits ? value : value & ((1UL << count) - 1);
        Operands.Set<TSize>(c, op->R0, result);
        ArithmeticFlags.SetResult<TSize>(c, result, count >= bits ? 1UL : 0, 0);
        return op + 1;
    }

    /// <summary>PDEP (Imm 0) and PEXT (1): R2 is the source, R1 or memory the mask.</summary>
    public static Op* DepositExtract<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong mask))
        {
            return &c->ExitOp;
        }

        ulong source = Operands.Get<TSize>(c, op->R2);
        Operands.Set<TSize>(
            c, op->R0, op->Imm == 0 ? Bmi2.X64.ParallelBitDeposit(source, mask) : Bmi2.X64.ParallelBitExtract(source, mask));
        return op + 1;
    }

    /// <summary>ADCX.</summary>
    public static Op* AddWithCarryOnly<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        ulong result = Add<TSize>(Operands.Get<TSize>(c, op->R0), value, ArithmeticFlags.Carry(c), out ulong carry);
        Operands.Set<TSize>(c, op->R0, result);
        ArithmeticFlags.SetCarryOverflow(c, carry, ArithmeticFlags.Overflow(c));
        return op + 1;
    }

    /// <summary>ADOX: the carry travels in OF.</summary>
    public static Op* AddWithOverflowOnly<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<TSize>(c, op, out ulong value))
        {
            return &c->ExitOp;
        }

        ulong result = Add<TSize>(Operands.Get<TSize>(c, op->R0), value, ArithmeticFlags.Overflow(c), out ulong carry);
        Operands.Set<TSize>(c, op->R0, result);
        ArithmeticFlags.SetCarryOverflow(c, ArithmeticFlags.Carry(c), carry);
        return op + 1;
    }

    private static ulong Add<TSize>(ulong a, ulong b, ulong carryIn, out ulong carry)
        where TSize : struct, IOperandSize
    {
        UInt128 wide = (UInt128)a + b + carryIn;
        carry = (ulong)(wide >> (8 * TSize.Bytes)) & 1;
        return (ulong)wide;
    }

    /// <summary>
    /// The bit's number inside its operand. With a register number and memory (Variant) the operand itself moves: a bit string (SDM 2A, BT).
    /// </summary>
    private static ulong BitNumber<TSize>(Core* c, Op* op, out ulong address)
        where TSize : struct, IOperandSize
    {
        ulong mask = (8UL * (ulong)TSize.Bytes) - 1;
        bool memory = (op->Flags & OpFlags.Memory) != 0;
        address = memory ? FullForm.Compute(c, op) : 0;
        if ((op->Flags & OpFlags.Variant) == 0)
        {
            return (ulong)op->Imm & mask;
        }

        ulong number = Operands.Get<TSize>(c, op->R1);
        if (memory)
        {
            long shift = BitOperations.TrailingZeroCount(8 * TSize.Bytes);
            ulong moved = FullForm.Offset(c, op) + (ulong)(((long)TSize.SignExtend(number) >> (int)shift) * TSize.Bytes);
            if ((op->Flags & OpFlags.Address32) != 0)
            {
                moved = (uint)moved;
            }

            address = moved + ((ulong*)c)[op->Segment];
        }

        return number & mask;
    }

    private static Op* Change<TSize>(Core* c, Op* op, int how)
        where TSize : struct, IOperandSize
    {
        ulong number = BitNumber<TSize>(c, op, out ulong address);
        ulong bit = 1UL << (int)number;
        bool memory = (op->Flags & OpFlags.Memory) != 0;
        byte* place = memory ? GuestAccess.BeginUpdate<TSize>(c, op, address) : (byte*)c + op->R0;
        if (place is null)
        {
            return &c->ExitOp;
        }

        ulong value = TSize.Load(place);
        while (true)
        {
            ulong result = how switch { 0 => value | bit, 1 => value & ~bit, _ => value ^ bit };
            if ((op->Flags & OpFlags.Lock) == 0)
            {
                Operands.End0<TSize>(c, op, place, result);
                break;
            }

            ulong seen = TSize.CompareExchange(place, TSize.Truncate(result), value);
            if (seen == value)
            {
                GuestAccess.EndUpdate(c);
                break;
            }

            value = seen;
        }

        ArithmeticFlags.SetCarry(c, (value >> (int)number) & 1);
        return op + 1;
    }
}
