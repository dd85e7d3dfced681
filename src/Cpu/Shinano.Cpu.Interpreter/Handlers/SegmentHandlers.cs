using System.Runtime.CompilerServices;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>Loads and stores of segment registers, descriptor queries, and far transfers, as they are at CPL 3 in 64-bit mode.</summary>
internal static unsafe class SegmentHandlers
{
    public const int Es = 0;
    public const int Cs = 1;
    public const int Ss = 2;
    public const int Fs = 4;
    public const int Gs = 5;

    private const ulong DescriptorPresent = 1UL << 47;
    private const ulong DescriptorUser = 1UL << 44;
    private const ulong DescriptorCode = 1UL << 43;
    private const ulong DescriptorConforming = 1UL << 42;
    private const ulong DescriptorReadWrite = 1UL << 41;
    private const ulong DescriptorAccessed = 1UL << 40;
    private const ulong DescriptorLong = 1UL << 53;

    /// <summary>MOV Sreg, r/m16: R2 is the segment register.</summary>
    public static Op* MoveTo(Core* c, Op* op)
    {
        if (!Operands.Read1<Size16>(c, op, out ulong selector) || !TryLoad(c, op, op->R2, (ushort)selector))
        {
            return &c->ExitOp;
        }

        if (op->R2 == Ss)
        {
            // Only the careful mode has debug traps to hold off; interrupts of a PV guest come at exits.
            c->Cpu.InterruptShadow = (ulong)c->Careful;
        }

        return op + 1;
    }

    /// <summary>MOV r/m, Sreg: a register is zero-extended from 16 bits, memory gets 16 bits.</summary>
    public static Op* MoveFrom<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong selector = Register(c, op->R2)->Selector;
        bool done = (op->Flags & OpFlags.Memory) != 0
            ? GuestAccess.Store<Size16>(c, op, FullForm.Compute(c, op), selector)
            : Operands.Write0<TSize>(c, op, selector);
        return done ? op + 1 : &c->ExitOp;
    }

    /// <summary>PUSH FS, PUSH GS.</summary>
    public static Op* Push<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong stack = c->Cpu.Gpr[4] - (ulong)TSize.Bytes;
        if (!GuestAccess.Store<TSize>(c, op, stack, Register(c, op->R2)->Selector))
        {
            return &c->ExitOp;
        }

        c->Cpu.Gpr[4] = stack;
        return op + 1;
    }

    /// <summary>POP FS, POP GS.</summary>
    public static Op* Pop<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!GuestAccess.Load<TSize>(c, op, c->Cpu.Gpr[4], out ulong selector) || !TryLoad(c, op, op->R2, (ushort)selector))
        {
            return &c->ExitOp;
        }

        c->Cpu.Gpr[4] += (ulong)TSize.Bytes;
        return op + 1;
    }

    /// <summary>LSS, LFS, LGS.</summary>
    public static Op* LoadFarPointer<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        byte* place = GuestAccess.ReadPointer(c, op, FullForm.Compute(c, op), TSize.Bytes + 2);
        if (place is null)
        {
            return &c->ExitOp;
        }

        ulong offset = TSize.Load(place);
        ushort selector = *(ushort*)(place + TSize.Bytes);
        if (!TryLoad(c, op, op->R2, selector))
        {
            return &c->ExitOp;
        }

        Operands.Set<TSize>(c, op->R0, offset);
        return op + 1;
    }

    /// <summary>VERR (Imm 0), VERW (1).</summary>
    public static Op* Verify(Core* c, Op* op)
    {
        if (!Operands.Read0<Size16>(c, op, out ulong selector))
        {
            return &c->ExitOp;
        }

        bool good = false;
        if ((selector & 0xFFFC) != 0 && TryReadDescriptor(c, (ushort)selector, out ulong descriptor, out _) && (descriptor & DescriptorUser) != 0)
        {
            bool code = (descriptor & DescriptorCode) != 0;
            bool kind = op->Imm == 0 ? !code || (descriptor & DescriptorReadWrite) != 0 : !code && (descriptor & DescriptorReadWrite) != 0;
            good = kind && IsVisible(c, (ushort)selector, descriptor);
        }

        ArithmeticFlags.SetZero(c, good);
        return op + 1;
    }

    /// <summary>LAR (Imm 0), LSL (1).</summary>
    public static Op* Query<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if (!Operands.Read1<Size16>(c, op, out ulong selector))
        {
            return &c->ExitOp;
        }

        bool good = false;
        if ((selector & 0xFFFC) != 0 && TryReadDescriptor(c, (ushort)selector, out ulong descriptor, out _))
        {
            int type = (int)(descriptor >> 40) & 15;
            bool system = (descriptor & DescriptorUser) == 0;

            // System types in long mode: LDT, TSS, and for LAR also call gates (SDM 2A, LAR table 3-53; LSL table 3-59).
            bool valid = !system || type is 2 or 9 or 11 || (op->Imm == 0 && type == 12);
            good = valid && IsVisible(c, (ushort)selector, descriptor);
            if (good)
            {
                Operands.Set<TSize>(c, op->R0, op->Imm == 0 ? (descriptor >> 32) & 0x00F0_FF00 : LimitOf(descriptor));
            }
        }

        ArithmeticFlags.SetZero(c, good);
        return op + 1;
    }

    /// <summary>IRET of 64 bits to the same privilege: the only kind that CPL 3 can do.</summary>
    public static Op* InterruptReturn(Core* c, Op* op)
    {
        byte* place = GuestAccess.ReadPointer(c, op, c->Cpu.Gpr[4], 40);
        if (place is null)
        {
            return &c->ExitOp;
        }

        ulong* frame = stackalloc ulong[5];
        Unsafe.CopyBlockUnaligned(frame, place, 40);
        ushort code = (ushort)frame[1];
        ushort stack = (ushort)frame[4];
        if (!TryReadCode(c, op, code, out ulong descriptor) || !TryReadStack(c, op, stack, out ulong stackDescriptor))
        {
            return &c->ExitOp;
        }

        if (!SlowAccess.IsCanonical(frame[0]))
        {
            return SystemHandlers.GeneralProtection(c, op);
        }

        Set(c, Cs, code, descriptor);
        Set(c, Ss, stack, stackDescriptor);
        c->Cpu.Gpr[4] = frame[3];
        StackHandlers.LoadFlags(c, frame[2], 0xFFFF_FFFF);
        c->Count += op->Position + 1UL;
        return FlowHandlers.Leave(c, frame[0]);
    }

    /// <summary>Far RET of 64 bits to the same privilege; Imm is released from the stack.</summary>
    public static Op* FarReturn<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        byte* place = GuestAccess.ReadPointer(c, op, c->Cpu.Gpr[4], 2 * TSize.Bytes);
        if (place is null)
        {
            return &c->ExitOp;
        }

        ulong target = TSize.Load(place);
        ushort code = (ushort)TSize.Load(place + TSize.Bytes);
        if (!TryReadCode(c, op, code, out ulong descriptor))
        {
            return &c->ExitOp;
        }

        if (!SlowAccess.IsCanonical(target))
        {
            return SystemHandlers.GeneralProtection(c, op);
        }

        Set(c, Cs, code, descriptor);
        c->Cpu.Gpr[4] += (2 * (ulong)TSize.Bytes) + (ulong)op->Imm;
        c->Count += op->Position + 1UL;
        return FlowHandlers.Leave(c, target);
    }

    /// <summary>Far JMP (Imm 0) and CALL (1) through memory, to the same privilege. TSize is the offset's size.</summary>
    public static Op* FarJump<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        byte* place = GuestAccess.ReadPointer(c, op, FullForm.Compute(c, op), TSize.Bytes + 2);
        if (place is null)
        {
            return &c->ExitOp;
        }

        ulong target = TSize.Load(place);
        ushort code = *(ushort*)(place + TSize.Bytes);
        if (!TryReadTransfer(c, op, code, out ulong descriptor))
        {
            return &c->ExitOp;
        }

        if (!SlowAccess.IsCanonical(target))
        {
            return SystemHandlers.GeneralProtection(c, op);
        }

        if (op->Imm != 0)
        {
            ulong stack = c->Cpu.Gpr[4] - (2 * (ulong)TSize.Bytes);
            byte* frame = GuestAccess.BeginUpdate(c, op, stack, 2 * TSize.Bytes);
            if (frame is null)
            {
                return &c->ExitOp;
            }

            TSize.Store(frame, c->PageLinear + (ulong)op->NextOffset);
            TSize.Store(frame + TSize.Bytes, c->Cpu.Cs.Selector);
            GuestAccess.EndUpdate(c);
            c->Cpu.Gpr[4] = stack;
        }

        Set(c, Cs, (ushort)((code & 0xFFFC) | (int)c->Cpu.Cpl), descriptor);
        c->Count += op->Position + 1UL;
        return FlowHandlers.Leave(c, target);
    }

    /// <summary>Loads a data segment register by the rules of CPL 3 (SDM 3A §5.7, SDM 2B MOV).</summary>
    /// <returns>False when it faulted.</returns>
    private static bool TryLoad(Core* c, Op* op, int register, ushort selector)
    {
        if ((selector & 0xFFFC) == 0)
        {
            if (register == Ss)
            {
                FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, 0);
                return false;
            }

            *Register(c, register) = new SegmentRegister { Selector = selector };
            return true;
        }

        if (register == Ss)
        {
            if (!TryReadStack(c, op, selector, out ulong stack))
            {
                return false;
            }

            Set(c, Ss, selector, stack);
            return true;
        }

        uint error = selector & 0xFFFCU;
        bool readable = TryReadDescriptor(c, selector, out ulong descriptor, out ulong place) && (descriptor & DescriptorUser) != 0
            && ((descriptor & DescriptorCode) == 0 || (descriptor & DescriptorReadWrite) != 0) && IsVisible(c, selector, descriptor);
        if (!readable)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, error);
            return false;
        }

        if ((descriptor & DescriptorPresent) == 0)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.SegmentNotPresent, error);
            return false;
        }

        MarkAccessed(c, place, descriptor);
        Set(c, register, selector, descriptor);
        return true;
    }

    private static bool TryReadStack(Core* c, Op* op, ushort selector, out ulong descriptor)
    {
        uint error = selector & 0xFFFCU;
        descriptor = 0;
        ulong cpl = c->Cpu.Cpl;
        if (error == 0 || !TryReadDescriptor(c, selector, out descriptor, out ulong place) || ((ulong)selector & 3) != cpl
            || (descriptor & (DescriptorUser | DescriptorCode | DescriptorReadWrite)) != (DescriptorUser | DescriptorReadWrite)
            || ((descriptor >> 45) & 3) != cpl)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, error);
            return false;
        }

        if ((descriptor & DescriptorPresent) == 0)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.StackFault, error);
            return false;
        }

        MarkAccessed(c, place, descriptor);
        return true;
    }

    /// <summary>A code segment to return to at the same privilege. Only 64-bit code can be run so far; another kind is refused as if it had no rights.</summary>
    private static bool TryReadCode(Core* c, Op* op, ushort selector, out ulong descriptor)
    {
        uint error = selector & 0xFFFCU;
        descriptor = 0;
        ulong cpl = c->Cpu.Cpl;
        bool good = error != 0 && TryReadDescriptor(c, selector, out descriptor, out _) && ((ulong)selector & 3) == cpl
            && (descriptor & (DescriptorUser | DescriptorCode)) == (DescriptorUser | DescriptorCode)
            && ((descriptor & DescriptorConforming) != 0 ? ((descriptor >> 45) & 3) <= cpl : ((descriptor >> 45) & 3) == cpl)
            && (descriptor & DescriptorLong) != 0;
        if (!good)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, error);
            return false;
        }

        if ((descriptor & DescriptorPresent) == 0)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.SegmentNotPresent, error);
            return false;
        }

        return true;
    }

    /// <summary>
    /// A code segment to jump to: conforming below or at CPL, else RPL within CPL and DPL equal to it (SDM 3A §5.8.1.1). Gates are refused like segments
    /// without rights.
    /// </summary>
    private static bool TryReadTransfer(Core* c, Op* op, ushort selector, out ulong descriptor)
    {
        uint error = selector & 0xFFFCU;
        descriptor = 0;
        ulong cpl = c->Cpu.Cpl;
        bool good = error != 0 && TryReadDescriptor(c, selector, out descriptor, out _)
            && (descriptor & (DescriptorUser | DescriptorCode | DescriptorLong)) == (DescriptorUser | DescriptorCode | DescriptorLong)
            && ((descriptor & DescriptorConforming) != 0
                ? ((descriptor >> 45) & 3) <= cpl
                : ((ulong)selector & 3) <= cpl && ((descriptor >> 45) & 3) == cpl);
        if (!good)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, error);
            return false;
        }

        if ((descriptor & DescriptorPresent) == 0)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.SegmentNotPresent, error);
            return false;
        }

        return true;
    }

    private static bool IsVisible(Core* c, ushort selector, ulong descriptor)
    {
        bool conforming = (descriptor & (DescriptorUser | DescriptorCode | DescriptorConforming))
            == (DescriptorUser | DescriptorCode | DescriptorConforming);
        ulong level = (descriptor >> 45) & 3;
        return conforming || (level >= c->Cpu.Cpl && level >= (ulong)(selector & 3));
    }

    /// <summary>Reads a descriptor through the guest's page tables, as an implicit supervisor access (SDM 3A §4.6.1).</summary>
    private static bool TryReadDescriptor(Core* c, ushort selector, out ulong descriptor, out ulong physical)
    {
        SegmentRegister* table = (selector & 4) != 0 ? &c->Cpu.Ldtr : &c->Cpu.Gdtr;
        descriptor = 0;
        physical = 0;
        uint offset = selector & 0xFFF8U;
        if (offset + 7 > table->Limit || ((selector & 4) != 0 && (c->Cpu.Ldtr.Selector & 0xFFFC) == 0))
        {
            return false;
        }

        InterpreterCpu cpu = InterpreterCpu.Of(c);
        PageWalker.Context context = cpu.WalkContext() with { User = false };
        ulong linear = table->Base + offset;
        if (!SlowAccess.IsCanonical(linear)
            || !PageWalker.TryTranslate(cpu.Engine.Memory, context, linear, PageFaultErrors.None, out PageWalker.Translation found, out _))
        {
            return false;
        }

        physical = found.Physical;
        return cpu.Engine.Memory.TryReadUInt64(physical, out descriptor);
    }

    private static void MarkAccessed(Core* c, ulong physical, ulong descriptor)
    {
        if ((descriptor & DescriptorAccessed) == 0)
        {
            InterpreterCpu.Of(c).Engine.Memory.TryCompareExchange(physical, descriptor | DescriptorAccessed, descriptor, out _);
        }
    }

    private static SegmentRegister* Register(Core* c, int register) => &c->Cpu.Es + register;

    private static void Set(Core* c, int register, ushort selector, ulong descriptor) =>
        *Register(c, register) = new SegmentRegister
        {
            Base = ((descriptor >> 16) & 0xFF_FFFF) | ((descriptor >> 32) & 0xFF00_0000),
            Limit = (uint)LimitOf(descriptor),
            Selector = selector,
            Attributes = (ushort)(((descriptor >> 40) & 0xF0FF) | 1),
        };

    private static ulong LimitOf(ulong descriptor)
    {
        ulong limit = (descriptor & 0xFFFF) | ((descriptor >> 32) & 0xF_0000);
        return (descriptor & (1UL << 55)) != 0 ? (limit << 12) | 0xFFF : limit;
    }
}
