using Iced.Intel;
using Shinano.Cpu.HostCode;

namespace Shinano.Cpu.Translator;

/// <summary>Emits single instructions that are no exits: the guest's own with other registers, and the few that need more than that.</summary>
internal sealed class InstructionEmitter(HostAssembler code, MemoryEmitter memory)
{
    private const int Rax = HostRegisters.Rax;
    private const int Rcx = HostRegisters.Rcx;
    private const int Rdx = HostRegisters.Rdx;
    private const int R15 = HostRegisters.R15;
    private const int GuestRsp = HostRegisters.GuestRsp;
    private const int GuestRbp = 5;

    private readonly InstructionInfoFactory _information = new();
    private readonly RepeatEmitter _repeats = new(code, memory);

    /// <summary>Emits an instruction of any kind but jumps, calls, returns and SYSCALL.</summary>
    public void Emit(in GuestInstruction instruction)
    {
        switch (instruction.Kind)
        {
            case InstructionKind.Plain:
                EmitPlain(instruction);
                break;
            case InstructionKind.LoadAddress:
                EmitLoadAddress(instruction);
                break;
            case InstructionKind.Push:
                EmitPush(instruction);
                break;
            case InstructionKind.Pop:
                EmitPop(instruction);
                break;
            case InstructionKind.Leave:
                HostOperand frame = memory.CheckStack(instruction, default, GuestRbp, 0, 8, write: false);
                code.Load(Rcx, frame);
                code.Lea(GuestRsp, HostOperand.Mem(GuestRbp, 8));
                code.Move(GuestRbp, Rcx);
                break;
            case InstructionKind.Divide:
                EmitDivide(instruction);
                break;
            case InstructionKind.BitInMemory:
                EmitBitInMemory(instruction);
                break;
            case InstructionKind.CompareExchange16:
                EmitCompareExchange16(instruction);
                break;
            case InstructionKind.TimeStamp:
                EmitTimeStamp(instruction);
                break;
            case InstructionKind.ReadSelector:
                EmitReadSelector(instruction.Code);
                break;
            case InstructionKind.Repeat:
                _repeats.Emit(instruction);
                break;
            case InstructionKind.Nothing:
                break;
            default:
                throw new InvalidOperationException($"{instruction.Kind} is not an instruction to emit here");
        }
    }

    /// <summary>The target of an indirect jump or call into RCX.</summary>
    public void LoadTarget(in GuestInstruction instruction)
    {
        if (instruction.HasMemory)
        {
            code.Load(Rcx, memory.Check(instruction));
        }
        else
        {
            LoadGuest(Rcx, HostRegisters.NumberOf(instruction.Code.Op0Register));
        }
    }

    public void PushReturnAddress(in GuestInstruction instruction)
    {
        HostOperand place = memory.CheckStack(instruction, instruction.Stack, GuestRsp, -8, 8, write: true);
        code.StoreImmediate(place, instruction.NextRip, Rcx);
        code.Lea(GuestRsp, HostOperand.Mem(GuestRsp, -8));
    }

    /// <summary>The address on the guest's stack into RCX; the stack pointer goes past it.</summary>
    public void PopReturnAddress(in GuestInstruction instruction)
    {
        code.Load(Rcx, memory.CheckStack(instruction, instruction.Stack, GuestRsp, 0, 8, write: false));
        code.Lea(GuestRsp, HostOperand.Mem(GuestRsp, 8));
    }

    private void EmitPush(in GuestInstruction instruction)
    {
        Instruction guest = instruction.Code;
        if (instruction.HasMemory)
        {
            code.Load(Rcx, memory.Check(instruction));
            code.Store(HostOperand.State(NativeLayout.Temporary), Rcx);
        }

        HostOperand place = memory.CheckStack(instruction, instruction.Stack, GuestRsp, -8, 8, write: true);
        if (instruction.HasMemory)
        {
            code.Load(Rcx, HostOperand.State(NativeLayout.Temporary));
            code.Store(place, Rcx);
        }
        else if (guest.Op0Kind == OpKind.Register)
        {
            int number = HostRegisters.NumberOf(guest.Op0Register);
            int home = HostRegisters.HomeOf(number);
            if (home == HostRegisters.None)
            {
                home = Rcx;
                LoadGuest(Rcx, number);
            }

            code.Store(place, home);
        }
        else
        {
            code.StoreImmediate(place, guest.GetImmediate(0), Rcx);
        }

        code.Lea(GuestRsp, HostOperand.Mem(GuestRsp, -8));
    }

    private void EmitPop(in GuestInstruction instruction)
    {
        HostOperand place = memory.CheckStack(instruction, instruction.Stack, GuestRsp, 0, 8, write: false);
        int number = HostRegisters.NumberOf(instruction.Code.Op0Register);
        int home = HostRegisters.HomeOf(number);
        code.Load(home == HostRegisters.None ? Rcx : home, place);
        if (home == HostRegisters.None)
        {
            code.Store(HostOperand.State(NativeLayout.Gpr(number)), Rcx);
        }

        code.Lea(GuestRsp, HostOperand.Mem(GuestRsp, 8));
    }

    private void EmitLoadAddress(in GuestInstruction instruction)
    {
        Instruction guest = instruction.Code;
        int number = HostRegisters.NumberOf(guest.Op0Register);
        int home = HostRegisters.HomeOf(number);
        int destination = home == HostRegisters.None ? Rcx : home;
        bool wide = guest.Op0Register.IsGPR64();
        if (guest.MemoryBase is Register.None or Register.RIP && guest.MemoryIndex == Register.None)
        {
            ulong address = guest.IsIPRelativeMemoryOperand ? guest.IPRelativeMemoryAddress : guest.MemoryDisplacement64;
            code.MoveImmediate(destination, wide ? address : (uint)address);
        }
        else
        {
            memory.EffectiveAddress(guest, destination, withSegment: false);
            if (!wide)
            {
                code.Move32(destination, destination);
            }
        }

        if (home == HostRegisters.None)
        {
            code.Store(HostOperand.State(NativeLayout.Gpr(number)), Rcx);
        }
    }

    /// <summary>
    /// DIV and IDIV with the divisor in RCX. The host must not fault: what would, and the rare signed cases that are not a sign-extended dividend by a
    /// divisor other than 0 and -1, are the interpreter's. Their flags are undefined, so the guards may change them.
    /// </summary>
    private void EmitDivide(in GuestInstruction instruction)
    {
        Instruction guest = instruction.Code;
        bool wide = guest.Code is Code.Div_rm64 or Code.Idiv_rm64;
        bool signed = guest.Mnemonic == Mnemonic.Idiv;
        if (instruction.HasMemory)
        {
            code.Op(0, wide, 0x8B, Rcx, memory.Check(instruction));
        }
        else
        {
            LoadGuest(Rcx, HostRegisters.NumberOf(guest.Op0Register));
        }

        int refuse = code.NewLabel();
        if (signed)
        {
            code.Op(0, wide, 0x8D, R15, HostOperand.Mem(Rcx, 1));
            code.Arithmetic(7, wide, HostOperand.Reg(R15), 1);
            code.JumpIf(HostCondition.BelowOrEqual, refuse);
            code.Op(0, wide, 0x8B, R15, HostOperand.Reg(Rax));
            code.Shift(HostShift.ArithmeticRight, wide, R15, wide ? 63 : 31);
            code.Op(0, wide, 0x3B, R15, HostOperand.Reg(Rdx));
            code.JumpIf(HostCondition.NotEqual, refuse);
        }
        else
        {
            // The quotient fits exactly when the upper half is below the divisor (SDM 2A, DIV).
            code.Op(0, wide, 0x3B, Rdx, HostOperand.Reg(Rcx));
            code.JumpIf(HostCondition.AboveOrEqual, refuse);
        }

        code.Op(0, wide, 0xF7, signed ? 7 : 6, HostOperand.Reg(Rcx));
        memory.ForgetAddend();
        memory.LeaveAt(instruction, refuse);
    }

    /// <summary>
    /// The element that holds the bit is checked like an operand there, and the number becomes one inside of it (SDM 2A, BT). Changes flags that BT keeps, so where
    /// they are live it is the interpreter's.
    /// </summary>
    private void EmitBitInMemory(in GuestInstruction instruction)
    {
        if (instruction.LiveBefore != ArithmeticFlag.None)
        {
            memory.LeaveHere(instruction);
            return;
        }

        Instruction host = instruction.Code;
        int bits = instruction.MemorySize * 8;
        int number = HostRegisters.NumberOf(host.Op1Register);
        HostOperand operand = memory.CheckElement(instruction, number);
        code.Lea(R15, operand);
        LoadGuest(Rcx, number);
        code.Arithmetic(4, false, HostOperand.Reg(Rcx), bits - 1);
        host.SegmentPrefix = Register.None;
        Rewrite(ref host, HostOperand.Mem(R15, 0));
        host.Op1Register = HostRegisters.Sized(Rcx, instruction.MemorySize);
        code.Instruction(host);
    }

    private void EmitCompareExchange16(in GuestInstruction instruction)
    {
        Instruction host = instruction.Code;
        code.Lea(R15, memory.Check(instruction));
        code.Move(Rcx, HostRegisters.GuestRcx);
        host.SegmentPrefix = Register.None;
        Rewrite(ref host, HostOperand.Mem(R15, 0));
        code.Instruction(host);
    }

    private void EmitReadSelector(in Instruction guest)
    {
        int number = HostRegisters.NumberOf(guest.Op0Register);
        int home = HostRegisters.HomeOf(number);
        code.Op(0, false, 0x0FB7, home == HostRegisters.None ? Rcx : home, HostOperand.State(NativeLayout.Selector(guest.Op1Register))); // MOVZX
        if (home == HostRegisters.None)
        {
            code.Store(HostOperand.State(NativeLayout.Gpr(number)), Rcx);
        }
    }

    private void EmitTimeStamp(in GuestInstruction instruction)
    {
        if (instruction.LiveBefore != ArithmeticFlag.None)
        {
            memory.LeaveHere(instruction);
            return;
        }

        // RDTSCP as itself, since it waits for the loads before it; RCX, which it writes, is scratch here.
        bool ordered = instruction.Code.Mnemonic == Mnemonic.Rdtscp;
        code.Bytes(ordered ? [0x0F, 0x01, 0xF9] : [0x0F, 0x31]);
        code.Shift(HostShift.Left, true, Rdx, 32);
        code.Op(0, true, 0x0B, Rax, HostOperand.Reg(Rdx)); // OR
        code.Op(0, true, 0x03, Rax, HostOperand.State(NativeLayout.TscOffset)); // ADD
        code.Move(Rdx, Rax);
        code.Shift(HostShift.Right, true, Rdx, 32);
        code.Move32(Rax, Rax);
        if (ordered)
        {
            code.Op(0, false, 0x8B, HostRegisters.GuestRcx, HostOperand.State(NativeLayout.TscAux));
        }
    }

    private void EmitPlain(in GuestInstruction instruction)
    {
        Instruction host = instruction.Code;
        host.Code = RegisterPlan.TemporalForm(host.Code);
        host.SegmentPrefix = Register.None;
        host.HasRepPrefix = false;
        host.HasRepnePrefix = false;
        HostOperand operand = default;
        bool usesRcx = false;
        if (instruction.HasMemory)
        {
            operand = memory.Check(instruction);
            usesRcx = operand.Index == Rcx;
        }

        RegisterRenaming renaming = RegisterRenaming.Of(instruction.Code, instruction.CountInCl, instruction.HasMemory);
        if (usesRcx && renaming.NeedsRcx)
        {
            code.Lea(R15, operand);
            operand = HostOperand.Mem(R15, 0);
        }

        if (renaming.Uses(R15))
        {
            memory.ForgetAddend();
        }

        if (instruction.HasMemory)
        {
            Rewrite(ref host, operand);
        }

        renaming.Apply(ref host);
        Prepare(instruction, renaming);
        code.Instruction(host);
        Complete(instruction, renaming);
        if (instruction.WritesEcx)
        {
            code.Move32(HostRegisters.GuestRcx, Rcx);
        }
    }

    /// <summary>Loads what the instruction reads of registers without a home.</summary>
    private void Prepare(in GuestInstruction instruction, in RegisterRenaming renaming)
    {
        if (instruction.CountInCl)
        {
            code.Move32(Rcx, HostRegisters.GuestRcx);
        }

        if (renaming.Spilled0 >= 0)
        {
            LoadGuest(renaming.Host0, renaming.Spilled0);
        }

        if (renaming.Spilled1 >= 0)
        {
            LoadGuest(renaming.Host1, renaming.Spilled1);
        }

        if (renaming.HighByte == Register.CH)
        {
            code.Move32(Rcx, HostRegisters.GuestRcx);
            code.Op(0, false, 0x0FB6, Rcx, HostOperand.Reg(5)); // MOVZX ecx, ch
        }
        else if (renaming.HighByte != Register.None)
        {
            code.Op(0, false, 0x0FB6, Rcx, HostOperand.Reg(4 + HostRegisters.NumberOf(renaming.HighByte))); // MOVZX ecx, ah..bh
        }
    }

    /// <summary>Stores what the instruction wrote of registers without a home.</summary>
    private void Complete(in GuestInstruction instruction, in RegisterRenaming renaming)
    {
        if (renaming.Spilled0 < 0 && renaming.HighByte == Register.None)
        {
            return;
        }

        InstructionInfo information = _information.GetInfo(instruction.Code);
        for (int i = 0; i < instruction.Code.OpCount; i++)
        {
            if (instruction.Code.GetOpKind(i) != OpKind.Register
                || information.GetOpAccess(i) is not (OpAccess.Write or OpAccess.ReadWrite or OpAccess.CondWrite or OpAccess.ReadCondWrite))
            {
                continue;
            }

            Register register = instruction.Code.GetOpRegister(i);
            if (register == renaming.HighByte)
            {
                code.Op(0, false, 0x8A, 4 + HostRegisters.NumberOf(register), HostOperand.Reg(Rcx)); // MOV ah..bh, cl
            }
            else if (register.IsGPR() && HostRegisters.HomeOf(HostRegisters.NumberOf(register)) == HostRegisters.None)
            {
                int number = HostRegisters.NumberOf(register);
                code.Store(HostOperand.State(NativeLayout.Gpr(number)), number == renaming.Spilled0 ? renaming.Host0 : renaming.Host1);
            }
        }
    }

    private static void Rewrite(ref Instruction host, HostOperand operand)
    {
        host.MemoryBase = Register.RAX + operand.Base;
        host.MemoryIndex = operand.Index < 0 ? Register.None : Register.RAX + operand.Index;
        host.MemoryIndexScale = 1 << operand.Scale;
        host.MemoryDisplacement64 = (ulong)(long)operand.Displacement;
        host.MemoryDisplSize = operand.Displacement == 0 ? 0 : operand.Displacement is >= -128 and <= 127 ? 1 : 8;
    }

    private void LoadGuest(int destination, int number)
    {
        int home = HostRegisters.HomeOf(number);
        if (home == HostRegisters.None)
        {
            code.Load(destination, HostOperand.State(NativeLayout.Gpr(number)));
        }
        else
        {
            code.Move(destination, home);
        }
    }
}
