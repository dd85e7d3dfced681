using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>
/// MOVS, STOS, LODS, CMPS, SCAS. A repeated one commits each element with RIP at the instruction, works in chunks inside one page where it can, and polls
/// between chunks.
/// </summary>
internal static unsafe class StringHandlers
{
    private const int Rax = 0;
    private const int Rcx = 1;
    private const int Rsi = 6;
    private const int Rdi = 7;
    private const int PageSize = GuestMemory.PageSize;

    public static Op* Move<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong mask = AddressMask(op);
        ulong segment = ((ulong*)c)[op->Segment];
        bool repeat = IsRepeated(op);
        bool forward = (c->Cpu.Rflags & Rflags.Direction) == 0;
        while (!repeat || (c->Cpu.Gpr[Rcx] & mask) != 0)
        {
            ulong source = segment + (c->Cpu.Gpr[Rsi] & mask);
            ulong target = c->Cpu.Gpr[Rdi] & mask;
            ulong count = 1;
            if (repeat && forward && c->Careful == 0)
            {
                count = Math.Min(c->Cpu.Gpr[Rcx] & mask, Math.Min(Room<TSize>(source), Room<TSize>(target)));
            }

            if (count > 1)
            {
                int length = (int)count * TSize.Bytes;
                byte* from = GuestAccess.ReadPointer(c, op, source, length);
                byte* to = from is null ? null : GuestAccess.BeginUpdate(c, op, target, length);
                if (to is null)
                {
                    return &c->ExitOp;
                }

                CopyForward<TSize>(from, to, length);
                GuestAccess.EndUpdate(c);
            }
            else
            {
                count = 1;
                if (!GuestAccess.Load<TSize>(c, op, source, out ulong value) || !GuestAccess.Store<TSize>(c, op, target, value))
                {
                    return &c->ExitOp;
                }
            }

            Advance<TSize>(c, Rsi, mask, count, forward);
            Advance<TSize>(c, Rdi, mask, count, forward);
            if (!repeat)
            {
                break;
            }

            if (!CountDown(c, mask, count))
            {
                return Interrupted(c, op);
            }
        }

        return op + 1;
    }

    public static Op* Fill<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong mask = AddressMask(op);
        bool repeat = IsRepeated(op);
        bool forward = (c->Cpu.Rflags & Rflags.Direction) == 0;
        ulong value = TSize.Truncate(c->Cpu.Gpr[Rax]);
        while (!repeat || (c->Cpu.Gpr[Rcx] & mask) != 0)
        {
            ulong target = c->Cpu.Gpr[Rdi] & mask;
            ulong count = 1;
            if (repeat && forward && c->Careful == 0)
            {
                count = Math.Min(c->Cpu.Gpr[Rcx] & mask, Room<TSize>(target));
            }

            if (count > 1)
            {
                byte* to = GuestAccess.BeginUpdate(c, op, target, (int)count * TSize.Bytes);
                if (to is null)
                {
                    return &c->ExitOp;
                }

                // SAFETY: count elements lie in one page, which BeginUpdate translated.
                switch (TSize.Bytes)
                {
                    case 1:
                        new Span<byte>(to, (int)count).Fill((byte)value);
                        break;
                    case 2:
                        new Span<ushort>(to, (int)count).Fill((ushort)value);
                        break;
                    case 4:
                        new Span<uint>(to, (int)count).Fill((uint)value);
                        break;
                    default:
                        new Span<ulong>(to, (int)count).Fill(value);
                        break;
                }

                GuestAccess.EndUpdate(c);
            }
            else
            {
                count = 1;
                if (!GuestAccess.Store<TSize>(c, op, target, value))
                {
                    return &c->ExitOp;
                }
            }

            Advance<TSize>(c, Rdi, mask, count, forward);
            if (!repeat)
            {
                break;
            }

            if (!CountDown(c, mask, count))
            {
                return Interrupted(c, op);
            }
        }

        return op + 1;
    }

    public static Op* Load<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong mask = AddressMask(op);
        bool repeat = IsRepeated(op);
        bool forward = (c->Cpu.Rflags & Rflags.Direction) == 0;
        while (!repeat || (c->Cpu.Gpr[Rcx] & mask) != 0)
        {
            if (!GuestAccess.Load<TSize>(c, op, ((ulong*)c)[op->Segment] + (c->Cpu.Gpr[Rsi] & mask), out ulong value))
            {
                return &c->ExitOp;
            }

            TSize.Write((byte*)c, value);
            Advance<TSize>(c, Rsi, mask, 1, forward);
            if (!repeat)
            {
                break;
            }

            if (!CountDown(c, mask, 1))
            {
                return Interrupted(c, op);
            }
        }

        return op + 1;
    }

    public static Op* Compare<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong mask = AddressMask(op);
        bool repeat = IsRepeated(op);
        bool forward = (c->Cpu.Rflags & Rflags.Direction) == 0;
        while (!repeat || (c->Cpu.Gpr[Rcx] & mask) != 0)
        {
            if (!GuestAccess.Load<TSize>(c, op, ((ulong*)c)[op->Segment] + (c->Cpu.Gpr[Rsi] & mask), out ulong left)
                || !GuestAccess.Load<TSize>(c, op, c->Cpu.Gpr[Rdi] & mask, out ulong right))
            {
                return &c->ExitOp;
            }

            SubOperation.Apply<TSize>(c, left, right);
            Advance<TSize>(c, Rsi, mask, 1, forward);
            Advance<TSize>(c, Rdi, mask, 1, forward);
            if (!repeat)
            {
                break;
            }

            bool go = CountDown(c, mask, 1);
            if (WhenEqual.Test(c) != ((op->Flags & OpFlags.Rep) != 0))
            {
                break;
            }

            if (!go)
            {
                return Interrupted(c, op);
            }
        }

        return op + 1;
    }

    public static Op* Scan<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong mask = AddressMask(op);
        bool repeat = IsRepeated(op);
        bool forward = (c->Cpu.Rflags & Rflags.Direction) == 0;
        while (!repeat || (c->Cpu.Gpr[Rcx] & mask) != 0)
        {
            if (!GuestAccess.Load<TSize>(c, op, c->Cpu.Gpr[Rdi] & mask, out ulong right))
            {
                return &c->ExitOp;
            }

            SubOperation.Apply<TSize>(c, TSize.Truncate(c->Cpu.Gpr[Rax]), right);
            Advance<TSize>(c, Rdi, mask, 1, forward);
            if (!repeat)
            {
                break;
            }

            bool go = CountDown(c, mask, 1);
            if (WhenEqual.Test(c) != ((op->Flags & OpFlags.Rep) != 0))
            {
                break;
            }

            if (!go)
            {
                return Interrupted(c, op);
            }
        }

        return op + 1;
    }

    private static ulong AddressMask(Op* op) => (op->Flags & OpFlags.Address32) != 0 ? 0xFFFF_FFFF : ulong.MaxValue;

    private static bool IsRepeated(Op* op) => (op->Flags & (OpFlags.Rep | OpFlags.Repne)) != 0;

    /// <summary>Whole elements from an address to the end of its page.</summary>
    private static ulong Room<TSize>(ulong address)
        where TSize : struct, IOperandSize => (PageSize - (address & (PageSize - 1))) / (ulong)TSize.Bytes;

    private static void Advance<TSize>(Core* c, int register, ulong mask, ulong count, bool forward)
        where TSize : struct, IOperandSize
    {
        ulong by = count * (ulong)TSize.Bytes;
        c->Cpu.Gpr[register] = (c->Cpu.Gpr[register] + (forward ? by : 0 - by)) & mask;
    }

    /// <summary>Takes elements off the count.</summary>
    /// <returns>False when somebody wants attention while elements remain.</returns>
    private static bool CountDown(Core* c, ulong mask, ulong count)
    {
        ulong left = (c->Cpu.Gpr[Rcx] - count) & mask;
        c->Cpu.Gpr[Rcx] = left;
        return left == 0 || Volatile.Read(ref c->Attention) == 0;
    }

    private static Op* Interrupted(Core* c, Op* op)
    {
        c->Iterated = 1;
        c->Count += op->Position;
        return FlowHandlers.Leave(c, c->PageLinear + op->Offset);
    }

    private static void CopyForward<TSize>(byte* from, byte* to, int length)
        where TSize : struct, IOperandSize
    {
        // SAFETY: both ranges lie in one page each. A target that starts inside the source must see what was just written: the pattern repeats.
        if (to > from && to < from + length)
        {
            for (int i = 0; i < length; i += TSize.Bytes)
            {
                TSize.Store(to + i, TSize.Load(from + i));
            }
        }
        else
        {
            Buffer.MemoryCopy(from, to, length, length);
        }
    }
}
