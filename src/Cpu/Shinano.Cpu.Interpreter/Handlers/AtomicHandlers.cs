using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>XADD and the CMPXCHG family.</summary>
internal static unsafe class AtomicHandlers
{
    public static Op* ExchangeAdd<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        byte* place = Operands.Begin0<TSize>(c, op);
        if (place is null)
        {
            return &c->ExitOp;
        }

        byte* register = (byte*)c + op->R1;
        ulong addend = TSize.Load(register);
        ulong value = TSize.Load(place);
        while (true)
        {
            ulong result = AddOperation.Apply<TSize>(c, value, addend);
            if ((op->Flags & OpFlags.Lock) == 0)
            {
                // The source is written first: XADD of a register with itself doubles it (SDM 2D, XADD).
                TSize.Write(register, value);
                Operands.End0<TSize>(c, op, place, result);
                return op + 1;
            }

            ulong seen = TSize.CompareExchange(place, TSize.Truncate(result), value);
            if (seen == value)
            {
                TSize.Write(register, value);
                GuestAccess.EndUpdate(c);
                return op + 1;
            }

            value = seen;
        }
    }

    public static Op* CompareExchange<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        byte* place = Operands.Begin0<TSize>(c, op);
        if (place is null)
        {
            return &c->ExitOp;
        }

        ulong expected = TSize.Load((byte*)c);
        ulong source = Operands.Get<TSize>(c, op->R1);
        ulong seen;
        if ((op->Flags & OpFlags.Memory) != 0)
        {
            if ((op->Flags & OpFlags.Lock) != 0)
            {
                seen = TSize.CompareExchange(place, source, expected);
            }
            else
            {
                seen = TSize.Load(place);
                TSize.Store(place, seen == expected ? source : seen);
            }

            GuestAccess.EndUpdate(c);
        }
        else
        {
            seen = TSize.Load(place);
            if (seen == expected)
            {
                TSize.Write(place, source);
            }
        }

        SubOperation.Apply<TSize>(c, expected, seen);
        if (seen != expected)
        {
            TSize.Write((byte*)c, seen);
        }

        return op + 1;
    }

    public static Op* CompareExchange8Bytes(Core* c, Op* op)
    {
        byte* place = GuestAccess.BeginUpdate<Size64>(c, op, FullForm.Compute(c, op));
        if (place is null)
        {
            return &c->ExitOp;
        }

        ulong expected = (uint)c->Cpu.Gpr[0] | (c->Cpu.Gpr[2] << 32);
        ulong value = (uint)c->Cpu.Gpr[3] | (c->Cpu.Gpr[1] << 32);
        ulong seen = Size64.CompareExchange(place, value, expected);
        GuestAccess.EndUpdate(c);
        if (seen != expected)
        {
            c->Cpu.Gpr[0] = (uint)seen;
            c->Cpu.Gpr[2] = seen >> 32;
        }

        ArithmeticFlags.SetZero(c, seen == expected);
        return op + 1;
    }

    /// <summary>CMPXCHG16B: always atomic, aligned or #GP.</summary>
    public static Op* CompareExchange16Bytes(Core* c, Op* op)
    {
        ulong address = FullForm.Compute(c, op);
        if ((address & 15) != 0)
        {
            return FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, 0);
        }

        byte* place = GuestAccess.BeginUpdate(c, op, address, 16);
        if (place is null)
        {
            return &c->ExitOp;
        }

        // SAFETY: 16 aligned bytes inside one page of guest memory.
        ulong* pair = stackalloc ulong[4] { c->Cpu.Gpr[0], c->Cpu.Gpr[2], c->Cpu.Gpr[3], c->Cpu.Gpr[1] };
        bool equal = HostPrimitives.CompareExchange16(place, pair, pair + 2);
        GuestAccess.EndUpdate(c);
        if (!equal)
        {
            c->Cpu.Gpr[0] = pair[0];
            c->Cpu.Gpr[2] = pair[1];
        }

        ArithmeticFlags.SetZero(c, equal);
        return op + 1;
    }
}
