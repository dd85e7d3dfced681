using Iced.Intel;

namespace Shinano.Cpu.Interpreter;

/// <summary>Moves, arithmetic, shifts, stack and string instructions.</summary>
internal static unsafe class IntegerSelector
{
    public static Selection Select(in Instruction instruction, Mnemonic mnemonic, AddressKind address, ref Op op)
    {
        bool locked = (op.Flags & OpFlags.Lock) != 0;
        switch (mnemonic)
        {
            case Mnemonic.Mov or Mnemonic.Movnti when IsGeneral(instruction):
                op.Handler = HandlerPicker.Move(ReadForm(instruction, ref op), op.Size, address);
                break;
            case Mnemonic.Add:
                op.Handler = HandlerPicker.Alu<AddOperation>(ReadForm(instruction, ref op), op.Size, address, locked);
                break;
            case Mnemonic.Or:
                op.Handler = HandlerPicker.Alu<OrOperation>(ReadForm(instruction, ref op), op.Size, address, locked);
                break;
            case Mnemonic.Adc:
                op.Handler = HandlerPicker.Alu<AdcOperation>(ReadForm(instruction, ref op), op.Size, address, locked);
                break;
            case Mnemonic.Sbb:
                op.Handler = HandlerPicker.Alu<SbbOperation>(ReadForm(instruction, ref op), op.Size, address, locked);
                break;
            case Mnemonic.And:
                op.Handler = HandlerPicker.Alu<AndOperation>(ReadForm(instruction, ref op), op.Size, address, locked);
                break;
            case Mnemonic.Sub:
                op.Handler = HandlerPicker.Alu<SubOperation>(ReadForm(instruction, ref op), op.Size, address, locked);
                break;
            case Mnemonic.Xor:
                op.Handler = HandlerPicker.Alu<XorOperation>(ReadForm(instruction, ref op), op.Size, address, locked);
                break;
            case Mnemonic.Cmp:
                op.Handler = HandlerPicker.Alu<CmpOperation>(ReadForm(instruction, ref op), op.Size, address, false);
                break;
            case Mnemonic.Test:
                op.Handler = HandlerPicker.Alu<TestOperation>(ReadForm(instruction, ref op), op.Size, address, false);
                break;
            case Mnemonic.Inc:
                op.Handler = HandlerPicker.Alu<IncOperation>(ReadUnary(instruction, ref op), op.Size, address, locked);
                break;
            case Mnemonic.Dec:
                op.Handler = HandlerPicker.Alu<DecOperation>(ReadUnary(instruction, ref op), op.Size, address, locked);
                break;
            case Mnemonic.Neg:
                op.Handler = HandlerPicker.Alu<NegOperation>(ReadUnary(instruction, ref op), op.Size, address, locked);
                break;
            case Mnemonic.Not:
                op.Handler = HandlerPicker.Alu<NotOperation>(ReadUnary(instruction, ref op), op.Size, address, locked);
                break;
            case Mnemonic.Shl or Mnemonic.Sal:
                op.Handler = HandlerPicker.Shift<ShiftLeft>(ReadShift(instruction, ref op), op.Size);
                break;
            case Mnemonic.Shr:
                op.Handler = HandlerPicker.Shift<ShiftRight>(ReadShift(instruction, ref op), op.Size);
                break;
            case Mnemonic.Sar:
                op.Handler = HandlerPicker.Shift<ShiftArithmetic>(ReadShift(instruction, ref op), op.Size);
                break;
            case Mnemonic.Rol:
                op.Handler = HandlerPicker.Shift<RotateLeft>(ReadShift(instruction, ref op), op.Size);
                break;
            case Mnemonic.Ror:
                op.Handler = HandlerPicker.Shift<RotateRight>(ReadShift(instruction, ref op), op.Size);
                break;
            case Mnemonic.Rcl:
                op.Handler = HandlerPicker.Shift<RotateCarryLeft>(ReadShift(instruction, ref op), op.Size);
                break;
            case Mnemonic.Rcr:
                op.Handler = HandlerPicker.Shift<RotateCarryRight>(ReadShift(instruction, ref op), op.Size);
                break;
            case Mnemonic.Movzx:
                ReadRegistersAndSize(instruction, ref op, 0);
                op.Handler = op.Size switch
                {
                    2 => HandlerPicker.ZeroExtend<Size16>(OperandReader.Size(instruction, 1), address),
                    4 => HandlerPicker.ZeroExtend<Size32>(OperandReader.Size(instruction, 1), address),
                    _ => HandlerPicker.ZeroExtend<Size64>(OperandReader.Size(instruction, 1), address),
                };
                break;
            case Mnemonic.Movsx or Mnemonic.Movsxd:
                ReadRegistersAndSize(instruction, ref op, 0);
                op.Handler = op.Size switch
                {
                    2 => HandlerPicker.SignExtend<Size16>(OperandReader.Size(instruction, 1), address),
                    4 => HandlerPicker.SignExtend<Size32>(OperandReader.Size(instruction, 1), address),
                    _ => HandlerPicker.SignExtend<Size64>(OperandReader.Size(instruction, 1), address),
                };
                break;
            case Mnemonic.Lea:
                ReadRegistersAndSize(instruction, ref op, 0);
                op.Segment = CoreSlots.Zero;
                AddressKind form = address == AddressKind.Full && (op.Flags & OpFlags.Address32) == 0 ? AddressKind.Index : address;
                op.Handler = op.Size switch
                {
                    2 => HandlerPicker.LoadAddress<Size16>(form),
                    4 => HandlerPicker.LoadAddress<Size32>(form),
                    _ => HandlerPicker.LoadAddress<Size64>(form),
                };
                break;
            case Mnemonic.Push:
            case Mnemonic.Pop:
                return StackSelector.Select(instruction, ref op);
            case Mnemonic.Xchg:
                SelectExchange(instruction, ref op);
                break;
            case Mnemonic.Xadd:
                ReadRegistersAndSize(instruction, ref op, 0);
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &AtomicHandlers.ExchangeAdd<Size8>,
                    &AtomicHandlers.ExchangeAdd<Size16>,
                    &AtomicHandlers.ExchangeAdd<Size32>,
                    &AtomicHandlers.ExchangeAdd<Size64>);
                break;
            case Mnemonic.Cmpxchg:
                ReadRegistersAndSize(instruction, ref op, 0);
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &AtomicHandlers.CompareExchange<Size8>,
                    &AtomicHandlers.CompareExchange<Size16>,
                    &AtomicHandlers.CompareExchange<Size32>,
                    &AtomicHandlers.CompareExchange<Size64>);
                break;
            case Mnemonic.Cmpxchg8b:
                op.Handler = &AtomicHandlers.CompareExchange8Bytes;
                break;
            case Mnemonic.Cmpxchg16b:
                op.Handler = &AtomicHandlers.CompareExchange16Bytes;
                break;
            case Mnemonic.Mul:
                ReadRegistersAndSize(instruction, ref op, 0);
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &MultiplyHandlers.Unsigned<Size8>,
                    &MultiplyHandlers.Unsigned<Size16>,
                    &MultiplyHandlers.Unsigned<Size32>,
                    &MultiplyHandlers.Unsigned<Size64>);
                break;
            case Mnemonic.Imul:
                SelectSignedMultiply(instruction, ref op);
                break;
            case Mnemonic.Div:
                ReadRegistersAndSize(instruction, ref op, 0);
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &MultiplyHandlers.Divide<Size8>,
                    &MultiplyHandlers.Divide<Size16>,
                    &MultiplyHandlers.Divide<Size32>,
                    &MultiplyHandlers.Divide<Size64>);
                break;
            case Mnemonic.Idiv:
                ReadRegistersAndSize(instruction, ref op, 0);
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &MultiplyHandlers.DivideSigned<Size8>,
                    &MultiplyHandlers.DivideSigned<Size16>,
                    &MultiplyHandlers.DivideSigned<Size32>,
                    &MultiplyHandlers.DivideSigned<Size64>);
                break;
            case Mnemonic.Cbw:
                op.Handler = &MoveHandlers.ExtendAccumulator<Size16, Size8>;
                break;
            case Mnemonic.Cwde:
                op.Handler = &MoveHandlers.ExtendAccumulator<Size32, Size16>;
                break;
            case Mnemonic.Cdqe:
                op.Handler = &MoveHandlers.ExtendAccumulator<Size64, Size32>;
                break;
            case Mnemonic.Cwd:
                op.Handler = &MoveHandlers.SignToData<Size16>;
                break;
            case Mnemonic.Cdq:
                op.Handler = &MoveHandlers.SignToData<Size32>;
                break;
            case Mnemonic.Cqo:
                op.Handler = &MoveHandlers.SignToData<Size64>;
                break;
            default:
                return SelectOther(instruction, mnemonic, ref op);
        }

        return Selection.Continues;
    }

    private static Selection SelectOther(in Instruction instruction, Mnemonic mnemonic, ref Op op)
    {
        if (instruction.ConditionCode != ConditionCode.None)
        {
            ReadRegistersAndSize(instruction, ref op, 0);
            bool memory = (op.Flags & OpFlags.Memory) != 0;
            ConditionPicker.Purpose? purpose = instruction.OpCount switch
            {
                1 when op.Size == 1 => ConditionPicker.Purpose.Set,
                2 when op.Size is 2 or 4 or 8 && instruction.GetOpRegister(0).IsGPR() => (op.Size, memory) switch
                {
                    (2, false) => ConditionPicker.Purpose.Move16,
                    (4, false) => ConditionPicker.Purpose.Move32,
                    (8, false) => ConditionPicker.Purpose.Move64,
                    (2, true) => ConditionPicker.Purpose.MoveMemory16,
                    (4, true) => ConditionPicker.Purpose.MoveMemory32,
                    _ => ConditionPicker.Purpose.MoveMemory64,
                },
                _ => null,
            };
            if (purpose is null)
            {
                return Selection.NotMine;
            }

            op.Handler = ConditionPicker.Pick(instruction.ConditionCode, purpose.Value);
            return Selection.Continues;
        }

        return mnemonic switch
        {
            Mnemonic.Pushf or Mnemonic.Pushfq or Mnemonic.Popf or Mnemonic.Popfq or Mnemonic.Enter or Mnemonic.Leave or Mnemonic.Lahf
                or Mnemonic.Sahf => StackSelector.Select(instruction, ref op),
            _ => StringSelector.Select(instruction, mnemonic, ref op),
        };
    }

    /// <summary>Operands and the form that <see cref="HandlerPicker.Alu{TOperation}"/> takes.</summary>
    public static int ReadForm(in Instruction instruction, ref Op op)
    {
        ReadRegistersAndSize(instruction, ref op, 0);
        bool memoryFirst = instruction.GetOpKind(0) == OpKind.Memory;
        if (OperandReader.IsImmediate(instruction.GetOpKind(1)))
        {
            op.Imm = op.Size switch
            {
                1 => (byte)instruction.GetImmediate(1),
                2 => (ushort)instruction.GetImmediate(1),
                4 => (uint)instruction.GetImmediate(1),
                _ => (long)instruction.GetImmediate(1),
            };
            return memoryFirst ? 4 : 1;
        }

        return memoryFirst ? 3 : instruction.GetOpKind(1) == OpKind.Memory ? 2 : 0;
    }

    public static void ReadRegistersAndSize(in Instruction instruction, ref Op op, int sized)
    {
        OperandReader.ReadRegisters(instruction, ref op);
        op.Size = (byte)OperandReader.Size(instruction, sized);
    }

    private static int ReadUnary(in Instruction instruction, ref Op op)
    {
        ReadRegistersAndSize(instruction, ref op, 0);
        return instruction.GetOpKind(0) == OpKind.Memory ? 4 : 1;
    }

    /// <returns>Whether it is a register by a count that is known not to be 0.</returns>
    private static bool ReadShift(in Instruction instruction, ref Op op)
    {
        ReadRegistersAndSize(instruction, ref op, 0);
        if (instruction.GetOpKind(1) == OpKind.Register)
        {
            op.Flags |= OpFlags.Variant;
            return false;
        }

        op.Imm = (long)instruction.GetImmediate(1) & (op.Size == 8 ? 63 : 31);
        return op.Imm != 0 && instruction.GetOpKind(0) == OpKind.Register;
    }

    private static bool IsGeneral(in Instruction instruction)
    {
        for (int i = 0; i < 2; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Register && !instruction.GetOpRegister(i).IsGPR())
            {
                return false;
            }
        }

        return true;
    }

    private static void SelectExchange(in Instruction instruction, ref Op op)
    {
        ReadRegistersAndSize(instruction, ref op, 0);
        if (instruction.GetOpKind(1) == OpKind.Memory)
        {
            op.R1 = op.R0;
        }

        if ((op.Flags & OpFlags.Memory) != 0)
        {
            op.Flags |= OpFlags.Lock;
            op.Handler = HandlerPicker.BySize(
                op.Size,
                &MoveHandlers.ExchangeMemory<Size8>,
                &MoveHandlers.ExchangeMemory<Size16>,
                &MoveHandlers.ExchangeMemory<Size32>,
                &MoveHandlers.ExchangeMemory<Size64>);
        }
        else
        {
            op.Handler = HandlerPicker.BySize(
                op.Size,
                &MoveHandlers.ExchangeRegister<Size8>,
                &MoveHandlers.ExchangeRegister<Size16>,
                &MoveHandlers.ExchangeRegister<Size32>,
                &MoveHandlers.ExchangeRegister<Size64>);
        }
    }

    private static void SelectSignedMultiply(in Instruction instruction, ref Op op)
    {
        ReadRegistersAndSize(instruction, ref op, 0);
        switch (instruction.OpCount)
        {
            case 1:
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &MultiplyHandlers.SignedWide<Size8>,
                    &MultiplyHandlers.SignedWide<Size16>,
                    &MultiplyHandlers.SignedWide<Size32>,
                    &MultiplyHandlers.SignedWide<Size64>);
                break;
            case 2:
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &MultiplyHandlers.SignedTwo<Size16>,
                    &MultiplyHandlers.SignedTwo<Size32>,
                    &MultiplyHandlers.SignedTwo<Size64>);
                break;
            default:
                op.Imm = (long)instruction.GetImmediate(2);
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &MultiplyHandlers.SignedThree<Size16>,
                    &MultiplyHandlers.SignedThree<Size32>,
                    &MultiplyHandlers.SignedThree<Size64>);
                break;
        }
    }
}
