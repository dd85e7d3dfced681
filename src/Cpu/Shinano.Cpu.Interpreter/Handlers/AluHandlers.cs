using System.Runtime.CompilerServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>Two-operand arithmetic in its five forms; unary operations use the immediate forms and ignore the immediate.</summary>
internal static unsafe class AluHandlers
{
    public static Op* RegisterRegister<TOperation, TSize>(Core* c, Op* op)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize
    {
        byte* target = (byte*)c + op->R0;
        ulong result = TOperation.Apply<TSize>(c, TSize.Load(target), TSize.Load((byte*)c + op->R1));
        if (TOperation.Writes)
        {
            TSize.Write(target, result);
        }

        return op + 1;
    }

    public static Op* RegisterImmediate<TOperation, TSize>(Core* c, Op* op)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize
    {
        byte* target = (byte*)c + op->R0;
        ulong result = TOperation.Apply<TSize>(c, TSize.Load(target), (ulong)op->Imm);
        if (TOperation.Writes)
        {
            TSize.Write(target, result);
        }

        return op + 1;
    }

    public static Op* RegisterMemory<TOperation, TSize, TForm>(Core* c, Op* op)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize
        where TForm : struct, IAddressForm
    {
        if (!GuestAccess.HitRead<TSize>(c, TForm.Compute(c, op), out byte* place))
        {
            return RegisterMemoryMissed<TOperation, TSize>(c, op);
        }

        byte* target = (byte*)c + op->R0;
        ulong result = TOperation.Apply<TSize>(c, TSize.Load(target), TSize.Load(place));
        if (TOperation.Writes)
        {
            TSize.Write(target, result);
        }

        return op + 1;
    }

    public static Op* MemoryRegister<TOperation, TSize, TForm>(Core* c, Op* op)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize
        where TForm : struct, IAddressForm =>
        TryMemory<TOperation, TSize, TForm>(c, op, TSize.Load((byte*)c + op->R1)) ? op + 1 : MemoryRegisterMissed<TOperation, TSize>(c, op);

    public static Op* MemoryImmediate<TOperation, TSize, TForm>(Core* c, Op* op)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize
        where TForm : struct, IAddressForm =>
        TryMemory<TOperation, TSize, TForm>(c, op, (ulong)op->Imm) ? op + 1 : MemoryImmediateMissed<TOperation, TSize>(c, op);

    /// <summary>LOCK with a register source.</summary>
    public static Op* LockedRegister<TOperation, TSize>(Core* c, Op* op)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize =>
        Locked<TOperation, TSize>(c, op, TSize.Load((byte*)c + op->R1));

    /// <summary>LOCK with an immediate, or unary.</summary>
    public static Op* LockedImmediate<TOperation, TSize>(Core* c, Op* op)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize =>
        Locked<TOperation, TSize>(c, op, (ulong)op->Imm);

    /// <summary>Does the operation when the place is in the look-aside table.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryMemory<TOperation, TSize, TForm>(Core* c, Op* op, ulong source)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize
        where TForm : struct, IAddressForm
    {
        ulong address = TForm.Compute(c, op);
        if (!TOperation.Writes)
        {
            if (!GuestAccess.HitRead<TSize>(c, address, out byte* read))
            {
                return false;
            }

            TOperation.Apply<TSize>(c, TSize.Load(read), source);
            return true;
        }

        if (!GuestAccess.HitWrite<TSize>(c, address, out byte* place))
        {
            return false;
        }

        TSize.Store(place, TOperation.Apply<TSize>(c, TSize.Load(place), source));
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* RegisterMemoryMissed<TOperation, TSize>(Core* c, Op* op)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize
    {
        if (!GuestAccess.Load<TSize>(c, op, FullForm.Compute(c, op), out ulong source))
        {
            return &c->ExitOp;
        }

        byte* target = (byte*)c + op->R0;
        ulong result = TOperation.Apply<TSize>(c, TSize.Load(target), source);
        if (TOperation.Writes)
        {
            TSize.Write(target, result);
        }

        return op + 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* MemoryRegisterMissed<TOperation, TSize>(Core* c, Op* op)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize =>
        MemoryMissed<TOperation, TSize>(c, op, TSize.Load((byte*)c + op->R1));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* MemoryImmediateMissed<TOperation, TSize>(Core* c, Op* op)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize =>
        MemoryMissed<TOperation, TSize>(c, op, (ulong)op->Imm);

    private static Op* MemoryMissed<TOperation, TSize>(Core* c, Op* op, ulong source)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize
    {
        ulong address = FullForm.Compute(c, op);
        if (!TOperation.Writes)
        {
            if (!GuestAccess.Load<TSize>(c, op, address, out ulong value))
            {
                return &c->ExitOp;
            }

            TOperation.Apply<TSize>(c, value, source);
            return op + 1;
        }

        byte* place = GuestAccess.BeginUpdate<TSize>(c, op, address);
        if (place is null)
        {
            return &c->ExitOp;
        }

        TSize.Store(place, TOperation.Apply<TSize>(c, TSize.Load(place), source));
        GuestAccess.EndUpdate(c);
        return op + 1;
    }

    private static Op* Locked<TOperation, TSize>(Core* c, Op* op, ulong source)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize
    {
        byte* place = GuestAccess.BeginUpdate<TSize>(c, op, FullForm.Compute(c, op));
        if (place is null)
        {
            return &c->ExitOp;
        }

        // ADC, SBB, INC and DEC read a flag that the operation replaces: each attempt starts from the flags before the instruction.
        ulong carries = c->FlagCarries;
        ulong seen = TSize.Load(place);
        while (true)
        {
            c->FlagCarries = carries;
            ulong result = TOperation.Apply<TSize>(c, seen, source);
            ulong found = TSize.CompareExchange(place, TSize.Truncate(result), seen);
            if (found == seen)
            {
                break;
            }

            seen = found;
        }

        GuestAccess.EndUpdate(c);
        return op + 1;
    }
}
