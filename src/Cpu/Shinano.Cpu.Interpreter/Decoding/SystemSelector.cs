using Iced.Intel;

namespace Shinano.Cpu.Interpreter;

/// <summary>System, environment and segment instructions.</summary>
internal static unsafe class SystemSelector
{
    public static Selection Select(in Instruction instruction, ref Op op)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Nop or Mnemonic.Reservednop or Mnemonic.Endbr64 or Mnemonic.Endbr32 or Mnemonic.Fnop:
            case Mnemonic.Prefetch or Mnemonic.Prefetchw or Mnemonic.Prefetchwt1 or Mnemonic.Prefetchnta or Mnemonic.Prefetcht0:
            case Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2 or Mnemonic.Rdsspd or Mnemonic.Rdsspq or Mnemonic.Cldemote:
                if (instruction.Mnemonic == Mnemonic.Fnop)
                {
                    return Selection.NotMine;
                }

                op.Handler = &MoveHandlers.Nop;
                return Selection.Continues;
            case Mnemonic.Pause:
                op.Handler = &SystemHandlers.Pause;
                return Selection.Continues;
            case Mnemonic.Lfence or Mnemonic.Mfence or Mnemonic.Sfence:
                op.Handler = &SystemHandlers.Fence;
                return Selection.Continues;
            case Mnemonic.Clflush or Mnemonic.Clflushopt or Mnemonic.Clwb:
                op.Handler = &SystemHandlers.CacheLine;
                return Selection.Continues;
            case Mnemonic.Clc or Mnemonic.Stc or Mnemonic.Cmc:
                op.Imm = instruction.Mnemonic switch { Mnemonic.Clc => 0, Mnemonic.Stc => 1, _ => 2 };
                op.Handler = &SystemHandlers.CarryFlag;
                return Selection.Continues;
            case Mnemonic.Cld or Mnemonic.Std:
                op.Imm = instruction.Mnemonic == Mnemonic.Std ? 1 : 0;
                op.Handler = &SystemHandlers.DirectionFlag;
                return Selection.Continues;
            case Mnemonic.Cli or Mnemonic.Sti:
                op.Imm = instruction.Mnemonic == Mnemonic.Sti ? 1 : 0;
                op.Handler = &SystemHandlers.InterruptFlag;
                return Selection.Continues;
            case Mnemonic.Rdtsc:
                op.Handler = &SystemHandlers.ReadTimestamp;
                return Selection.Continues;
            case Mnemonic.Rdtscp:
                op.Handler = &SystemHandlers.ReadTimestampAndId;
                return Selection.Continues;
            case Mnemonic.Rdpid:
                OperandReader.ReadRegisters(instruction, ref op);
                op.Handler = &SystemHandlers.ReadProcessorId;
                return Selection.Continues;
            case Mnemonic.Rdrand or Mnemonic.Rdseed:
                IntegerSelector.ReadRegistersAndSize(instruction, ref op, 0);
                op.Handler = HandlerPicker.BySize(
                    op.Size, &SystemHandlers.Random<Size16>, &SystemHandlers.Random<Size32>, &SystemHandlers.Random<Size64>);
                return Selection.Continues;
            case Mnemonic.Rdfsbase or Mnemonic.Rdgsbase:
                IntegerSelector.ReadRegistersAndSize(instruction, ref op, 0);
                op.Segment = instruction.Mnemonic == Mnemonic.Rdfsbase ? CoreSlots.Fs : CoreSlots.Gs;
                op.Handler = op.Size == 4 ? &SystemHandlers.ReadBase<Size32> : &SystemHandlers.ReadBase<Size64>;
                return Selection.Continues;
            case Mnemonic.Wrfsbase or Mnemonic.Wrgsbase:
                IntegerSelector.ReadRegistersAndSize(instruction, ref op, 0);
                op.Segment = instruction.Mnemonic == Mnemonic.Wrfsbase ? CoreSlots.Fs : CoreSlots.Gs;
                op.Handler = op.Size == 4 ? &SystemHandlers.WriteBase<Size32> : &SystemHandlers.WriteBase<Size64>;
                return Selection.Continues;
            case Mnemonic.Xgetbv:
                op.Handler = &SystemHandlers.ReadExtendedControl;
                return Selection.Continues;
            case Mnemonic.Sgdt or Mnemonic.Sidt:
                op.Imm = instruction.Mnemonic == Mnemonic.Sidt ? 1 : 0;
                op.Handler = &SystemHandlers.StoreTableRegister;
                return Selection.Continues;
            case Mnemonic.Sldt or Mnemonic.Str or Mnemonic.Smsw:
                IntegerSelector.ReadRegistersAndSize(instruction, ref op, 0);
                op.Imm = instruction.Mnemonic switch { Mnemonic.Sldt => 0, Mnemonic.Str => 1, _ => 2 };
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &SystemHandlers.StoreSystemWord<Size16>,
                    &SystemHandlers.StoreSystemWord<Size32>,
                    &SystemHandlers.StoreSystemWord<Size64>);
                return Selection.Continues;
            default:
                Selection segment = SelectSegment(instruction, ref op);
                return segment != Selection.NotMine ? segment : SelectExit(instruction, ref op);
        }
    }

    private static Selection SelectSegment(in Instruction instruction, ref Op op)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Mov when IsSegment(instruction, 0):
                op.R2 = (byte)instruction.GetOpRegister(0).GetNumber();
                if (instruction.GetOpKind(1) == OpKind.Register)
                {
                    op.R1 = OperandReader.Offset(instruction.GetOpRegister(1));
                }

                op.Handler = op.R2 == SegmentHandlers.Cs ? &SystemHandlers.Undefined : &SegmentHandlers.MoveTo;
                return Selection.Continues;
            case Mnemonic.Mov when IsSegment(instruction, 1):
                IntegerSelector.ReadRegistersAndSize(instruction, ref op, 0);
                op.R2 = (byte)instruction.GetOpRegister(1).GetNumber();
                op.Handler = HandlerPicker.BySize(
                    op.Size, &SegmentHandlers.MoveFrom<Size16>, &SegmentHandlers.MoveFrom<Size32>, &SegmentHandlers.MoveFrom<Size64>);
                return Selection.Continues;
            case Mnemonic.Lss or Mnemonic.Lfs or Mnemonic.Lgs:
                IntegerSelector.ReadRegistersAndSize(instruction, ref op, 0);
                op.R2 = (byte)(instruction.Mnemonic switch
                {
                    Mnemonic.Lss => SegmentHandlers.Ss,
                    Mnemonic.Lfs => SegmentHandlers.Fs,
                    _ => SegmentHandlers.Gs,
                });
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &SegmentHandlers.LoadFarPointer<Size16>,
                    &SegmentHandlers.LoadFarPointer<Size32>,
                    &SegmentHandlers.LoadFarPointer<Size64>);
                return Selection.Continues;
            case Mnemonic.Verr or Mnemonic.Verw:
                OperandReader.ReadRegisters(instruction, ref op);
                op.Imm = instruction.Mnemonic == Mnemonic.Verw ? 1 : 0;
                op.Handler = &SegmentHandlers.Verify;
                return Selection.Continues;
            case Mnemonic.Lar or Mnemonic.Lsl:
                IntegerSelector.ReadRegistersAndSize(instruction, ref op, 0);
                op.Imm = instruction.Mnemonic == Mnemonic.Lsl ? 1 : 0;
                op.Handler = HandlerPicker.BySize(
                    op.Size, &SegmentHandlers.Query<Size16>, &SegmentHandlers.Query<Size32>, &SegmentHandlers.Query<Size64>);
                return Selection.Continues;
            case Mnemonic.Jmp or Mnemonic.Call when instruction.IsJmpFarIndirect || instruction.IsCallFarIndirect:
                op.Imm = instruction.IsCallFarIndirect ? 1 : 0;
                op.Handler = instruction.Code switch
                {
                    Code.Jmp_m1616 or Code.Call_m1616 => &SegmentHandlers.FarJump<Size16>,
                    Code.Jmp_m1632 or Code.Call_m1632 => &SegmentHandlers.FarJump<Size32>,
                    _ => &SegmentHandlers.FarJump<Size64>,
                };
                return Selection.Ends;
            case Mnemonic.Iretq:
                op.Flags |= OpFlags.Stack;
                op.Handler = &SegmentHandlers.InterruptReturn;
                return Selection.Ends;
            case Mnemonic.Retf:
                op.Flags |= OpFlags.Stack;
                op.Imm = instruction.OpCount == 1 ? instruction.Immediate16 : 0;
                op.Handler = instruction.Code switch
                {
                    Code.Retfw or Code.Retfw_imm16 => &SegmentHandlers.FarReturn<Size16>,
                    Code.Retfd or Code.Retfd_imm16 => &SegmentHandlers.FarReturn<Size32>,
                    _ => &SegmentHandlers.FarReturn<Size64>,
                };
                return Selection.Ends;
            default:
                return Selection.NotMine;
        }
    }

    private static Selection SelectExit(in Instruction instruction, ref Op op)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Syscall:
                op.Handler = &SystemHandlers.Syscall;
                return Selection.Ends;
            case Mnemonic.Cpuid:
                op.Handler = &SystemHandlers.Cpuid;
                return Selection.Ends;
            case Mnemonic.Int3:
                op.Handler = &SystemHandlers.Breakpoint;
                return Selection.Ends;
            case Mnemonic.Int1:
                op.Handler = &SystemHandlers.DebugTrap;
                return Selection.Ends;
            case Mnemonic.Int:
                op.Imm = instruction.Immediate8;
                op.Handler = &SystemHandlers.SoftwareInterrupt;
                return Selection.Ends;
            case Mnemonic.Hlt or Mnemonic.In or Mnemonic.Out or Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd or Mnemonic.Outsb:
            case Mnemonic.Outsw or Mnemonic.Outsd or Mnemonic.Lgdt or Mnemonic.Lidt or Mnemonic.Lldt or Mnemonic.Ltr or Mnemonic.Lmsw:
            case Mnemonic.Rdmsr or Mnemonic.Wrmsr or Mnemonic.Wbinvd or Mnemonic.Wbnoinvd or Mnemonic.Invd or Mnemonic.Invlpg:
            case Mnemonic.Invpcid or Mnemonic.Swapgs or Mnemonic.Clts or Mnemonic.Sysret or Mnemonic.Sysexit or Mnemonic.Rdpmc:
            case Mnemonic.Xsetbv or Mnemonic.Clac or Mnemonic.Stac:
            case Mnemonic.Mov when IsControl(instruction):
                op.Handler = &SystemHandlers.GeneralProtection;
                return Selection.Ends;
            default:
                return Selection.NotMine;
        }
    }

    private static bool IsSegment(in Instruction instruction, int operand) =>
        instruction.GetOpKind(operand) == OpKind.Register && instruction.GetOpRegister(operand).IsSegmentRegister();

    private static bool IsControl(in Instruction instruction) => IsControl(instruction.GetOpRegister(0)) || IsControl(instruction.GetOpRegister(1));

    private static bool IsControl(Register register) => register is (>= Register.CR0 and <= Register.CR15) or (>= Register.DR0 and <= Register.DR15);
}
