using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>
/// Vector instructions that access memory element by element under a mask: VMASKMOVPS and its kin, MASKMOVDQU, and the AVX2 gathers. An element that is
/// masked off is not accessed and cannot fault, so that no single operand can be handed to the host.
/// </summary>
/// <remarks>Size: bytes per element. Imm: bytes of the vector, and for gathers bits 8 up the bytes per index. R0 to R2 are vector registers' numbers.</remarks>
internal static unsafe class MaskedMoveHandlers
{
    private const int HalfSize = 16;

    /// <summary>VMASKMOVPS/PD, VPMASKMOVD/Q loading: R0 target, R1 mask.</summary>
    public static Op* Load(Core* c, Op* op)
    {
        if (!VectorState.CheckAvx(c, op))
        {
            return &c->ExitOp;
        }

        ulong address = FullForm.Compute(c, op);
        int length = (int)op->Imm;
        byte* result = stackalloc byte[2 * HalfSize];
        new Span<byte>(result, 2 * HalfSize).Clear();
        for (int at = 0; at < length; at += op->Size)
        {
            if (IsSelected(c, op->R1, at, op->Size) && !LoadElement(c, op, address + (ulong)at, result + at))
            {
                return &c->ExitOp;
            }
        }

        SetVector(c, op->R0, result);
        return op + 1;
    }

    /// <summary>The storing forms: R1 mask, R2 source. All elements are probed before the first is written.</summary>
    public static Op* Store(Core* c, Op* op) =>
        VectorState.CheckAvx(c, op) ? StoreSelected(c, op, FullForm.Compute(c, op), (int)op->Imm, op->R1, op->R2) : &c->ExitOp;

    /// <summary>MASKMOVDQU and VMASKMOVDQU: bytes to DS:RDI; R0 source, R1 mask. Variant: the VEX form.</summary>
    public static Op* StoreBytes(Core* c, Op* op)
    {
        bool usable = (op->Flags & OpFlags.Variant) != 0 ? VectorState.CheckAvx(c, op) : VectorState.CheckSse(c, op);
        if (!usable)
        {
            return &c->ExitOp;
        }

        ulong address = c->Cpu.Gpr[7];
        address = ((op->Flags & OpFlags.Address32) != 0 ? (uint)address : address) + ((ulong*)c)[op->Segment];
        return StoreSelected(c, op, address, HalfSize, op->R1, op->R0);
    }

    /// <summary>VGATHERxx and VPGATHERxx: R0 target, R1 index vector, R2 mask. Each element that was loaded clears its mask, so that a fault can resume.</summary>
    public static Op* Gather(Core* c, Op* op)
    {
        if (!VectorState.CheckAvx(c, op))
        {
            return &c->ExitOp;
        }

        // SDM 2C: the three registers must differ.
        if (op->R0 == op->R1 || op->R0 == op->R2 || op->R1 == op->R2)
        {
            return SystemHandlers.Undefined(c, op);
        }

        int indexSize = (int)(op->Imm >> 8);
        int length = (int)(op->Imm & 0xFF);
        int count = length / Math.Max(indexSize, op->Size);
        ulong start = ((ulong*)c)[op->Base] + (ulong)op->Disp;
        for (int i = 0; i < count; i++)
        {
            byte* mask = Element(c, op->R2, i * op->Size);
            if (IsSelected(c, op->R2, i * op->Size, op->Size))
            {
                byte* index = Element(c, op->R1, i * indexSize);
                long offset = indexSize == 4 ? *(int*)index : *(long*)index;
                ulong address = start + ((ulong)offset << op->Scale);
                address = ((op->Flags & OpFlags.Address32) != 0 ? (uint)address : address) + ((ulong*)c)[op->Segment];
                if (!LoadElement(c, op, address, Element(c, op->R0, i * op->Size)))
                {
                    return &c->ExitOp;
                }
            }

            new Span<byte>(mask, op->Size).Clear();
        }

        // Beyond the elements gathered both registers become 0.
        for (int at = count * op->Size; at < 2 * HalfSize; at += op->Size)
        {
            new Span<byte>(Element(c, op->R0, at), op->Size).Clear();
            new Span<byte>(Element(c, op->R2, at), op->Size).Clear();
        }

        return op + 1;
    }

    private static Op* StoreSelected(Core* c, Op* op, ulong address, int length, int mask, int source)
    {
        int size = op->Size;
        for (int at = 0; at < length; at += size)
        {
            if (IsSelected(c, mask, at, size))
            {
                if (GuestAccess.BeginUpdate(c, op, address + (ulong)at, size) is null)
                {
                    return &c->ExitOp;
                }

                GuestAccess.EndUpdate(c);
            }
        }

        for (int at = 0; at < length; at += size)
        {
            if (!IsSelected(c, mask, at, size))
            {
                continue;
            }

            byte* element = Element(c, source, at);
            bool done = size switch
            {
                1 => GuestAccess.Store<Size8>(c, op, address + (ulong)at, *element),
                4 => GuestAccess.Store<Size32>(c, op, address + (ulong)at, *(uint*)element),
                _ => GuestAccess.Store<Size64>(c, op, address + (ulong)at, *(ulong*)element),
            };
            if (!done)
            {
                return &c->ExitOp;
            }
        }

        return op + 1;
    }

    private static bool LoadElement(Core* c, Op* op, ulong address, byte* target)
    {
        if (op->Size == 4)
        {
            if (!GuestAccess.Load<Size32>(c, op, address, out ulong half))
            {
                return false;
            }

            *(uint*)target = (uint)half;
            return true;
        }

        if (!GuestAccess.Load<Size64>(c, op, address, out ulong value))
        {
            return false;
        }

        *(ulong*)target = value;
        return true;
    }

    private static bool IsSelected(Core* c, int mask, int at, int size) => (*Element(c, mask, at + size - 1) & 0x80) != 0;

    /// <summary>A place inside a vector register, which lies in two halves of the area. Elements do not straddle the halves.</summary>
    private static byte* Element(Core* c, int register, int at) =>
        c->Cpu.Xsave + (at < HalfSize ? CpuState.XmmOffset + at : CpuState.YmmHighOffset + at - HalfSize) + (HalfSize * (register & 15));

    private static void SetVector(Core* c, int register, byte* value)
    {
        for (int at = 0; at < 2 * HalfSize; at += 8)
        {
            *(ulong*)Element(c, register, at) = *(ulong*)(value + at);
        }
    }
}
