using System.Runtime.CompilerServices;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>FXSAVE, XSAVE and their kin over the state's own area. Source: SDM 1 chapter 13, SDM 2A FXSAVE.</summary>
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

        SaveLegacy(c, place, X87 | Sse);
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

        RestoreLegacy(c, copy, X87 | Sse);
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

        SaveLegacy(c, place, wanted);
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
            new Span<byte>(header, 64).Clear();
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
        int size = (wanted & Avx) != 0 ? CpuState.XsaveSize : HeaderEnd;
        if (!Begin(c, op, 64, size, write: false, out byte* place))
        {
            return &c->ExitOp;
        }

        byte* copy = stackalloc byte[CpuState.XsaveSize];
        Unsafe.CopyBlockUnaligned(copy, place, (uint)size);
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

        // The standard form loads MXCSR whenever SSE or AVX is asked for; the compacted one initialises it with SSE (SDM 1 §13.8).
        if ((wanted & (Sse | Avx)) != 0)
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

        RestoreLegacy(c, copy, wanted & present);
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
        if ((address & (alignment - 1)) != 0)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, 0);
            return false;
        }

        place = write ? GuestAccess.BeginUpdate(c, op, address, size) : GuestAccess.ReadPointer(c, op, address, size);
        return place is not null;
    }

    private static void SaveLegacy(Core* c, byte* place, ulong components)
    {
        byte* area = c->Cpu.Xsave;
        if ((components & X87) != 0)
        {
            Unsafe.CopyBlockUnaligned(place, area, CpuState.MxcsrOffset);
            Unsafe.CopyBlockUnaligned(place + CpuState.StOffset, area + CpuState.StOffset, CpuState.XmmOffset - CpuState.StOffset);
        }

        if ((components & (Sse | Avx)) != 0)
        {
            *(uint*)(place + CpuState.MxcsrOffset) = *(uint*)(area + CpuState.MxcsrOffset);
            *(uint*)(place + CpuState.MxcsrOffset + 4) = 0xFFFF;
        }

        if ((components & Sse) != 0)
        {
            Unsafe.CopyBlockUnaligned(place + CpuState.XmmOffset, area + CpuState.XmmOffset, 256);
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

    private static void RestoreLegacy(Core* c, byte* copy, ulong components)
    {
        byte* area = c->Cpu.Xsave;
        if ((components & X87) != 0)
        {
            Unsafe.CopyBlockUnaligned(area, copy, CpuState.MxcsrOffset);
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
