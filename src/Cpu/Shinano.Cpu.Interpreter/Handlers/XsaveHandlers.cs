using System.Runtime.CompilerServices;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>FXSAVE, XSAVE and their kin over the state's own area. Variant: with REX.W. Source: SDM 1 chapter 13, SDM 2A FXSAVE.</summary>
internal static unsafe class XsaveHandlers
{
    private const ulong X87 = 1;
    private const ulong Sse = 2;
    private const ulong Avx = 4;
    private const ulong Compact = 1UL << 63;
    private const int LegacySize = 512;
    private const int HeaderEnd = 576;
    private const int XcompBvOffset = 520;

    public static Op* FxSave(Core* c, Op* op)
    {
        if (!VectorState.CheckX87(c, op) || !Begin(c, op, 16, LegacySize, write: true, out byte* place))
        {
            return &c->ExitOp;
        }

        SaveLegacy(c, op, place, X87 | Sse, Sse);
        GuestAccess.EndUpdate(c);
        return op + 1;
    }

    public static Op* FxRestore(Core* c, Op* op)
    {
        if (!VectorState.CheckX87(c, op) || !Begin(c, op, 16, LegacySize, write: false, out byte* place))
        {
            return &c->ExitOp;
        }

        byte* copy = stackalloc byte[LegacySize];
        Unsafe.CopyBlockUnaligned(copy, place, LegacySize);
        if (!RestoreMxcsr(c, copy))
        {
            return SystemHandlers.GeneralProtection(c, op);
        }

        RestoreLegacy(c, op, copy, X87 | Sse);
        return op + 1;
    }

    /// <summary>XSAVE and XSAVEOPT (Imm 0), XSAVEC (Imm 1).</summary>
    public static Op* Save(Core* c, Op* op)
    {
        if (!VectorState.CheckXsave(c, op))
        {
            return &c->ExitOp;
        }

        ulong wanted = Requested(c);
        int size = (wanted & Avx) != 0 ? CpuState.XsaveSize : HeaderEnd;
        if (!Begin(c, op, 64, size, write: true, out byte* place))
        {
            return &c->ExitOp;
        }

        // MXCSR goes with SSE and AVX, in the compacted form with SSE only (SDM 1 §13.7, §13.10).
        SaveLegacy(c, op, place, wanted, op->Imm == 0 ? Sse | Avx : Sse);
        if ((wanted & Avx) != 0)
        {
            Unsafe.CopyBlockUnaligned(place + HeaderEnd, c->Cpu.Xsave + HeaderEnd, CpuState.XsaveSize - HeaderEnd);
        }

        // Every enabled component counts as in use; the init optimisation is optional (SDM 1 §13.6).
        ulong* header = (ulong*)(place + CpuState.XstateBvOffset);
        if (op->Imm == 0)
        {
            header[0] = (header[0] & ~wanted) | wanted;
        }
        else
        {
            // The rest of the header is not written (SDM 1 §13.10).
            header[0] = wanted;
            header[1] = wanted | Compact;
        }

        GuestAccess.EndUpdate(c);
        return op + 1;
    }

    public static Op* Restore(Core* c, Op* op)
    {
        if (!VectorState.CheckXsave(c, op))
        {
            return &c->ExitOp;
        }

        ulong wanted = Requested(c);
        if (!Begin(c, op, 64, HeaderEnd, write: false, out byte* place))
        {
            return &c->ExitOp;
        }

        byte* copy = stackalloc byte[CpuState.XsaveSize];
        Unsafe.CopyBlockUnaligned(copy, place, HeaderEnd);
        ulong present = *(ulong*)(copy + CpuState.XstateBvOffset);
        ulong format = *(ulong*)(copy + XcompBvOffset);
        bool compact = (format & Compact) != 0;
        ulong reserved = 0;
        for (int i = XcompBvOffset + 8; i < (compact ? HeaderEnd : XcompBvOffset + 16); i += 8)
        {
            reserved |= *(ulong*)(copy + i);
        }

        ulong allowed = compact ? format & ~Compact : c->Cpu.Xcr0;
        if (reserved != 0 || (present & ~allowed) != 0 || (compact ? (format & ~(c->Cpu.Xcr0 | Compact)) != 0 : format != 0))
        {
            return SystemHandlers.GeneralProtection(c, op);
        }

        // What is not present is not read and cannot fault.
        if ((wanted & present & Avx) != 0)
        {
            place = GuestAccess.ReadPointer(c, op, FullForm.Compute(c, op) + HeaderEnd, CpuState.XsaveSize - HeaderEnd);
            if (place is null)
            {
                return &c->ExitOp;
            }

            Unsafe.CopyBlockUnaligned(copy + HeaderEnd, place, CpuState.XsaveSize - HeaderEnd);
        }

        // The standard form loads MXCSR whenever SSE or AVX is asked for; the compacted one loads or initialises it with SSE (SDM 1 §13.8).
        if ((wanted & (compact ? Sse : Sse | Avx)) != 0)
        {
            if (compact && (present & Sse) == 0)
            {
                *(uint*)(c->Cpu.Xsave + CpuState.MxcsrOffset) = 0x1F80;
            }
            else if (!RestoreMxcsr(c, copy))
            {
                return SystemHandlers.GeneralProtection(c, op);
            }
        }

        RestoreLegacy(c, op, copy, wanted & present);
        Initialise(c, wanted & ~present);
        if ((wanted & present & Avx) != 0)
        {
            Unsafe.CopyBlockUnaligned(c->Cpu.Xsave + HeaderEnd, copy + HeaderEnd, CpuState.XsaveSize - HeaderEnd);
        }

        return op + 1;
    }

    public static Op* LoadMxcsr(Core* c, Op* op)
    {
        if (!VectorState.CheckSse(c, op) || !GuestAccess.Load<Size32>(c, op, FullForm.Compute(c, op), out ulong value))
        {
            return &c->ExitOp;
        }

        if (value > 0xFFFF)
        {
            return SystemHandlers.GeneralProtection(c, op);
        }

        *(uint*)(c->Cpu.Xsave + CpuState.MxcsrOffset) = (uint)value;
        return op + 1;
    }

    public static Op* StoreMxcsr(Core* c, Op* op) =>
        VectorState.CheckSse(c, op)
        && GuestAccess.Store<Size32>(c, op, FullForm.Compute(c, op), *(uint*)(c->Cpu.Xsave + CpuState.MxcsrOffset))
            ? op + 1 : &c->ExitOp;

    private static ulong Requested(Core* c) => ((uint)c->Cpu.Gpr[0] | (c->Cpu.Gpr[2] << 32)) & c->Cpu.Xcr0;

    private static bool Begin(Core* c, Op* op, ulong alignment, int size, bool write, out byte* place)
    {
        ulong address = FullForm.Compute(c, op);
        place = null;
        // FXSAVE looks for a canonical address first (#SS or #GP), XSAVE for alignment.
        if ((address & (alignment - 1)) != 0 && (alignment != 16 || SlowAccess.IsCanonical(address)))
        {
            FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, 0);
            return false;
        }

        place = write ? GuestAccess.BeginUpdate(c, op, address, size) : GuestAccess.ReadPointer(c, op, address, size);
        return place is not null;
    }

    private static void SaveLegacy(Core* c, Op* op, byte* place, ulong components, ulong mxcsrWith)
    {
        byte* area = c->Cpu.Xsave;
        if ((components & X87) != 0)
        {
            Unsafe.CopyBlockUnaligned(place, area, CpuState.MxcsrOffset);
            NarrowPointers(op, place);
            Unsafe.CopyBlockUnaligned(place + CpuState.StOffset, area + CpuState.StOffset, CpuState.XmmOffset - CpuState.StOffset);
        }

        if ((components & mxcsrWith) != 0)
        {
            *(uint*)(place + CpuState.MxcsrOffset) = *(uint*)(area + CpuState.MxcsrOffset);
            *(uint*)(place + CpuState.MxcsrOffset + 4) = 0xFFFF;
        }

        if ((components & Sse) != 0)
        {
            Unsafe.CopyBlockUnaligned(place + CpuState.XmmOffset, area + CpuState.XmmOffset, 256);
        }
    }

    // Without REX.W the pointers of x87 have 32 bits and a selector, which is not kept any more (SDM 1 §8.1.8).
    private static void NarrowPointers(Op* op, byte* area)
    {
        if ((op->Flags & OpFlags.Variant) == 0)
        {
            *(uint*)(area + 12) = 0;
            *(uint*)(area + 20) = 0;
        }
    }

    private static bool RestoreMxcsr(Core* c, byte* copy)
    {
        uint value = *(uint*)(copy + CpuState.MxcsrOffset);
        if (value > 0xFFFF)
        {
            return false;
        }

        *(uint*)(c->Cpu.Xsave + CpuState.MxcsrOffset) = value;
        return true;
    }

    private static void RestoreLegacy(Core* c, Op* op, byte* copy, ulong components)
    {
        byte* area = c->Cpu.Xsave;
        if ((components & X87) != 0)
        {
            Unsafe.CopyBlockUnaligned(area, copy, CpuState.MxcsrOffset);

            NarrowPointers(op, area);

            // Reserved bits of the control word do not exist (SDM 1 figure 8-6).
            *(ushort*)area = (ushort)((*(ushort*)area & 0x1F3F) | 0x40);

            // ES and B follow the flags and the masks, whatever the image says (SDM 1 §8.1.3.3).
            bool pending = (*(ushort*)(area + 2) & ~*(ushort*)area & 0x3F) != 0;
            *(ushort*)(area + 2) = (ushort)((*(ushort*)(area + 2) & ~0x8080) | (pending ? 0x8080 : 0));
            Unsafe.CopyBlockUnaligned(area + CpuState.StOffset, copy + CpuState.StOffset, CpuState.XmmOffset - CpuState.StOffset);
        }

        if ((components & Sse) != 0)
        {
            Unsafe.CopyBlockUnaligned(area + CpuState.XmmOffset, copy + CpuState.XmmOffset, 256);
        }
    }

    private static void Initialise(Core* c, ulong components)
    {
        byte* area = c->Cpu.Xsave;
        if ((components & X87) != 0)
        {
            new Span<byte>(area, CpuState.MxcsrOffset).Clear();
            *(ushort*)area = 0x37F;
            new Span<byte>(area + CpuState.StOffset, CpuState.XmmOffset - CpuState.StOffset).Clear();
        }

        if ((components & Sse) != 0)
        {
            new Span<byte>(area + CpuState.XmmOffset, 256).Clear();
        }

        if ((components & Avx) != 0)
        {
            new Span<byte>(area + HeaderEnd, CpuState.XsaveSize - HeaderEnd).Clear();
        }
    }
}
