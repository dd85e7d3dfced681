using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>The commonest SSE instructions by hand: moves and the zeroing exclusive or. The others run on the host CPU.</summary>
/// <remarks>R0 and R1 are numbers of XMM registers here, or byte offsets of general ones where said. Imm non-zero: 16-byte alignment is demanded.</remarks>
internal static unsafe class VectorMoveHandlers
{
    /// <summary>MOVUPS/MOVAPS/MOVDQA/MOVDQU and their kin, load.</summary>
    public static Op* Load16(Core* c, Op* op)
    {
        if (!Begin16(c, op, out ulong address))
        {
            return &c->ExitOp;
        }

        byte* place = GuestAccess.ReadPointer(c, op, address, 16);
        if (place is null)
        {
            return &c->ExitOp;
        }

        Vector128.Store(Vector128.Load(place), Xmm(c, op->R0));
        return op + 1;
    }

    public static Op* Store16(Core* c, Op* op)
    {
        if (!Begin16(c, op, out ulong address))
        {
            return &c->ExitOp;
        }

        byte* place = GuestAccess.BeginUpdate(c, op, address, 16);
        if (place is null)
        {
            return &c->ExitOp;
        }

        Vector128.Store(Vector128.Load(Xmm(c, op->R1)), place);
        GuestAccess.EndUpdate(c);
        return op + 1;
    }

    public static Op* Copy16(Core* c, Op* op)
    {
        if (!VectorState.CheckSse(c, op))
        {
            return &c->ExitOp;
        }

        Vector128.Store(Vector128.Load(Xmm(c, op->R1)), Xmm(c, op->R0));
        return op + 1;
    }

    /// <summary>PXOR/XORPS/XORPD of two registers.</summary>
    public static Op* ExclusiveOr(Core* c, Op* op)
    {
        if (!VectorState.CheckSse(c, op))
        {
            return &c->ExitOp;
        }

        Vector128.Store(Vector128.Load(Xmm(c, op->R0)) ^ Vector128.Load(Xmm(c, op->R1)), Xmm(c, op->R0));
        return op + 1;
    }

    /// <summary>MOVQ/MOVD/MOVSD/MOVSS from memory: the rest of the register becomes 0.</summary>
    public static Op* LoadScalar<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!VectorState.CheckSse(c, op) || !GuestAccess.Load<TSize>(c, op, FullForm.Compute(c, op), out ulong value))
        {
            return &c->ExitOp;
        }

        ulong* target = (ulong*)Xmm(c, op->R0);
        target[0] = value;
        target[1] = 0;
        return op + 1;
    }

    /// <summary>MOVQ/MOVD/MOVSD/MOVSS to memory.</summary>
    public static Op* StoreScalar<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize =>
        VectorState.CheckSse(c, op) && GuestAccess.Store<TSize>(c, op, FullForm.Compute(c, op), TSize.Load(Xmm(c, op->R1)))
            ? op + 1 : &c->ExitOp;

    /// <summary>MOVQ/MOVD from a general register (R1 is its offset).</summary>
    public static Op* FromGeneral<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!VectorState.CheckSse(c, op))
        {
            return &c->ExitOp;
        }

        ulong* target = (ulong*)Xmm(c, op->R0);
        target[0] = Operands.Get<TSize>(c, op->R1);
        target[1] = 0;
        return op + 1;
    }

    /// <summary>MOVQ/MOVD to a general register (R0 is its offset).</summary>
    public static Op* ToGeneral<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!VectorState.CheckSse(c, op))
        {
            return &c->ExitOp;
        }

        Operands.Set<TSize>(c, op->R0, TSize.Load(Xmm(c, op->R1)));
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte* Xmm(Core* c, int number) => c->Cpu.Xsave + CpuState.XmmOffset + (16 * (number & 15));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Begin16(Core* c, Op* op, out ulong address)
    {
        address = FullForm.Compute(c, op);
        if (!VectorState.CheckSse(c, op))
        {
            return false;
        }

        if (op->Imm != 0 && (address & 15) != 0)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, 0);
            return false;
        }

        return true;
    }
}
