using System.Security.Cryptography;
using Shinano.Linux;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>Instructions that leave guest code, touch control state, or read the environment.</summary>
internal static unsafe class SystemHandlers
{
    private const ulong Cr4TimestampDisable = 1 << 2;
    private const ulong Cr4Fsgsbase = 1 << 16;
    private const ulong Cr4OsXsave = 1 << 18;

    public static Op* Undefined(Core* c, Op* op) => FlowHandlers.Fault(c, op, ExceptionVector.InvalidOpcode, 0);

    /// <summary>Everything that needs CPL 0 while guests run at CPL 3.</summary>
    public static Op* GeneralProtection(Core* c, Op* op) => FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, 0);

    public static Op* Syscall(Core* c, Op* op) => FlowHandlers.ExitAfter(c, op, CpuExitKind.Syscall);

    public static Op* Cpuid(Core* c, Op* op) => FlowHandlers.ExitAt(c, op, CpuExitKind.Cpuid);

    public static Op* Breakpoint(Core* c, Op* op) => FlowHandlers.Trap(c, op, ExceptionVector.Breakpoint);

    /// <summary>INT1 (F1): a trap that sets no bit of DR6 (SDM 2A, INT n).</summary>
    public static Op* DebugTrap(Core* c, Op* op) => FlowHandlers.Trap(c, op, ExceptionVector.Debug);

    /// <summary>
    /// INT n: a PV guest's IDT has no gate it may use, so the CPU answers with #GP whose error code names the vector (SDM 3A §6.13), and the hypervisor
    /// emulates.
    /// </summary>
    public static Op* SoftwareInterrupt(Core* c, Op* op) =>
        FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, ((uint)op->Imm << 3) | 2);

    /// <summary>CLI (Imm 0) and STI (1): allowed when CPL is within IOPL.</summary>
    public static Op* InterruptFlag(Core* c, Op* op)
    {
        if (c->Cpu.Cpl > (c->Cpu.Rflags & Rflags.IoPrivilege) >> 12)
        {
            return GeneralProtection(c, op);
        }

        c->Cpu.Rflags = op->Imm == 0 ? c->Cpu.Rflags & ~Rflags.Interrupt : c->Cpu.Rflags | Rflags.Interrupt;
        return op + 1;
    }

    /// <summary>CLD (Imm 0) and STD (1).</summary>
    public static Op* DirectionFlag(Core* c, Op* op)
    {
        c->Cpu.Rflags = op->Imm == 0 ? c->Cpu.Rflags & ~Rflags.Direction : c->Cpu.Rflags | Rflags.Direction;
        return op + 1;
    }

    /// <summary>CLC (Imm 0), STC (1), CMC (2).</summary>
    public static Op* CarryFlag(Core* c, Op* op)
    {
        ArithmeticFlags.SetCarry(c, op->Imm == 2 ? ArithmeticFlags.Carry(c) ^ 1 : (ulong)op->Imm);
        return op + 1;
    }

    public static Op* Fence(Core* c, Op* op)
    {
        Interlocked.MemoryBarrier();
        return op + 1;
    }

    /// <summary>PAUSE: the other vCPU that is waited for may need this host CPU.</summary>
    public static Op* Pause(Core* c, Op* op)
    {
        Thread.SpinWait(1);
        if ((++c->Pauses & 0xFF) == 0)
        {
            Thread.Yield();
        }

        return op + 1;
    }

    /// <summary>CLFLUSH and its kin: no cache of ours to flush, but the address is accessed and can fault (SDM 2A, CLFLUSH).</summary>
    public static Op* CacheLine(Core* c, Op* op) =>
        GuestAccess.Load<Size8>(c, op, FullForm.Compute(c, op), out _) ? op + 1 : &c->ExitOp;

    public static Op* ReadTimestamp(Core* c, Op* op)
    {
        if ((c->Cpu.Cr4 & Cr4TimestampDisable) != 0 && c->Cpu.Cpl != 0)
        {
            return GeneralProtection(c, op);
        }

        ulong now = TimeStampCounter.Read() + c->Cpu.TscOffset;
        c->Cpu.Gpr[0] = (uint)now;
        c->Cpu.Gpr[2] = now >> 32;
        return op + 1;
    }

    public static Op* ReadTimestampAndId(Core* c, Op* op)
    {
        Op* next = ReadTimestamp(c, op);
        if (next == op + 1)
        {
            c->Cpu.Gpr[1] = (uint)c->Cpu.TscAux;
        }

        return next;
    }

    public static Op* ReadProcessorId(Core* c, Op* op)
    {
        *(ulong*)((byte*)c + op->R0) = c->Cpu.TscAux;
        return op + 1;
    }

    public static Op* Random<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong value;
        RandomNumberGenerator.Fill(new Span<byte>(&value, sizeof(ulong)));
        TSize.Write((byte*)c + op->R0, value);

        // CF says that the number is valid; the other flags are cleared (SDM 2B, RDRAND).
        ArithmeticFlags.Write(c, Rflags.Carry);
        return op + 1;
    }

    /// <summary>RDFSBASE, RDGSBASE: Segment is the base's slot.</summary>
    public static Op* ReadBase<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if ((c->Cpu.Cr4 & Cr4Fsgsbase) == 0)
        {
            return Undefined(c, op);
        }

        TSize.Write((byte*)c + op->R0, ((ulong*)c)[op->Segment]);
        return op + 1;
    }

    /// <summary>WRFSBASE, WRGSBASE.</summary>
    public static Op* WriteBase<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        if ((c->Cpu.Cr4 & Cr4Fsgsbase) == 0)
        {
            return Undefined(c, op);
        }

        ulong value = Operands.Get<TSize>(c, op->R0);
        if (!SlowAccess.IsCanonical(value))
        {
            return GeneralProtection(c, op);
        }

        ((ulong*)c)[op->Segment] = value;
        return op + 1;
    }

    public static Op* ReadExtendedControl(Core* c, Op* op)
    {
        if ((c->Cpu.Cr4 & Cr4OsXsave) == 0)
        {
            return Undefined(c, op);
        }

        // Index 1 is XINUSE; every enabled component counts as in use here (SDM 1 §13.6 allows it).
        if ((uint)c->Cpu.Gpr[1] > 1)
        {
            return GeneralProtection(c, op);
        }

        c->Cpu.Gpr[0] = (uint)c->Cpu.Xcr0;
        c->Cpu.Gpr[2] = c->Cpu.Xcr0 >> 32;
        return op + 1;
    }

    /// <summary>SGDT (Imm 0), SIDT (1).</summary>
    public static Op* StoreTableRegister(Core* c, Op* op)
    {
        byte* place = GuestAccess.BeginUpdate(c, op, FullForm.Compute(c, op), 10);
        if (place is null)
        {
            return &c->ExitOp;
        }

        SegmentRegister* table = op->Imm == 0 ? &c->Cpu.Gdtr : &c->Cpu.Idtr;
        *(ushort*)place = (ushort)table->Limit;
        *(ulong*)(place + 2) = table->Base;
        GuestAccess.EndUpdate(c);
        return op + 1;
    }

    /// <summary>SLDT (Imm 0), STR (1), SMSW (2).</summary>
    public static Op* StoreSystemWord<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize
    {
        ulong value = op->Imm switch { 0 => c->Cpu.Ldtr.Selector, 1 => c->Cpu.Tr.Selector, _ => c->Cpu.Cr0 };
        bool done = (op->Flags & OpFlags.Memory) != 0
            ? GuestAccess.Store<Size16>(c, op, FullForm.Compute(c, op), value)
            : Operands.Write0<TSize>(c, op, value);
        return done ? op + 1 : &c->ExitOp;
    }
}
