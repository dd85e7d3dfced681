using Iced.Intel;
using unsafe Handler = delegate*<Shinano.Cpu.Interpreter.Core*, Shinano.Cpu.Interpreter.Op*, Shinano.Cpu.Interpreter.Op*>;

namespace Shinano.Cpu.Interpreter;

/// <summary>Bit scans and tests, BMI, double shifts, byte swaps, ADX, CRC32.</summary>
internal static unsafe class BitSelector
{
    public static Selection Select(in Instruction instruction, Mnemonic mnemonic, ref Op op)
    {
        Handler handler = Choose(instruction, mnemonic, ref op);
        if (handler is null)
        {
            return Selection.NotMine;
        }

        op.Handler = handler;
        return Selection.Continues;
    }

    private static Handler Choose(in Instruction instruction, Mnemonic mnemonic, ref Op op)
    {
        switch (mnemonic)
        {
            case Mnemonic.Bsf:
                Read(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size, &BitHandlers.ScanForward<Size16>, &BitHandlers.ScanForward<Size32>, &BitHandlers.ScanForward<Size64>);
            case Mnemonic.Bsr:
                Read(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size, &BitHandlers.ScanReverse<Size16>, &BitHandlers.ScanReverse<Size32>, &BitHandlers.ScanReverse<Size64>);
            case Mnemonic.Tzcnt:
                Read(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size, &BitHandlers.TrailingZeros<Size16>, &BitHandlers.TrailingZeros<Size32>, &BitHandlers.TrailingZeros<Size64>);
            case Mnemonic.Lzcnt:
                Read(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size, &BitHandlers.LeadingZeros<Size16>, &BitHandlers.LeadingZeros<Size32>, &BitHandlers.LeadingZeros<Size64>);
            case Mnemonic.Popcnt:
                Read(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size, &BitHandlers.PopulationCount<Size16>, &BitHandlers.PopulationCount<Size32>, &BitHandlers.PopulationCount<Size64>);
            case Mnemonic.Bt:
                ReadBit(instruction, ref op);
                return HandlerPicker.BySize(op.Size, &BitHandlers.Test<Size16>, &BitHandlers.Test<Size32>, &BitHandlers.Test<Size64>);
            case Mnemonic.Bts:
                ReadBit(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size, &BitHandlers.TestAndSet<Size16>, &BitHandlers.TestAndSet<Size32>, &BitHandlers.TestAndSet<Size64>);
            case Mnemonic.Btr:
                ReadBit(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size, &BitHandlers.TestAndReset<Size16>, &BitHandlers.TestAndReset<Size32>, &BitHandlers.TestAndReset<Size64>);
            case Mnemonic.Btc:
                ReadBit(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size,
                    &BitHandlers.TestAndComplement<Size16>,
                    &BitHandlers.TestAndComplement<Size32>,
                    &BitHandlers.TestAndComplement<Size64>);
            case Mnemonic.Shld:
                ReadDouble(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size, &ShiftHandlers.DoubleLeft<Size16>, &ShiftHandlers.DoubleLeft<Size32>, &ShiftHandlers.DoubleLeft<Size64>);
            case Mnemonic.Shrd:
                ReadDouble(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size, &ShiftHandlers.DoubleRight<Size16>, &ShiftHandlers.DoubleRight<Size32>, &ShiftHandlers.DoubleRight<Size64>);
            case Mnemonic.Bswap:
                Read(instruction, ref op);
                return op.Size switch
                {
                    // The 16-bit form is undefined and clears the register on real processors.
                    2 => ClearWord(ref op),
                    4 => &MoveHandlers.ByteSwap<Size32>,
                    _ => &MoveHandlers.ByteSwap<Size64>,
                };
            case Mnemonic.Movbe when instruction.GetOpKind(0) == OpKind.Register:
                Read(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size, &MoveHandlers.LoadSwapped<Size16>, &MoveHandlers.LoadSwapped<Size32>, &MoveHandlers.LoadSwapped<Size64>);
            case Mnemonic.Movbe:
                Read(instruction, ref op);
                return HandlerPicker.BySize(
                    op.Size, &MoveHandlers.StoreSwapped<Size16>, &MoveHandlers.StoreSwapped<Size32>, &MoveHandlers.StoreSwapped<Size64>);
            case Mnemonic.Crc32:
                OperandReader.ReadRegisters(instruction, ref op);
                op.Size = (byte)OperandReader.Size(instruction, 1);
                return HandlerPicker.BySize(
                    op.Size, &BitHandlers.Crc32<Size8>, &BitHandlers.Crc32<Size16>, &BitHandlers.Crc32<Size32>, &BitHandlers.Crc32<Size64>);
            case Mnemonic.Adcx:
                Read(instruction, ref op);
                return Two(op.Size, &BitHandlers.AddWithCarryOnly<Size32>, &BitHandlers.AddWithCarryOnly<Size64>);
            case Mnemonic.Adox:
                Read(instruction, ref op);
                return Two(op.Size, &BitHandlers.AddWithOverflowOnly<Size32>, &BitHandlers.AddWithOverflowOnly<Size64>);
            default:
                return ChooseVex(instruction, mnemonic, ref op);
        }
    }

    /// <summary>BMI1 and BMI2: R1 (or memory) is the operand that can be memory, R2 the other source.</summary>
    private static Handler ChooseVex(in Instruction instruction, Mnemonic mnemonic, ref Op op)
    {
        switch (mnemonic)
        {
            case Mnemonic.Andn:
                ReadSwapped(instruction, ref op);
                return Two(op.Size, &BitHandlers.AndNot<Size32>, &BitHandlers.AndNot<Size64>);
            case Mnemonic.Pdep or Mnemonic.Pext when System.Runtime.Intrinsics.X86.Bmi2.X64.IsSupported:
                ReadSwapped(instruction, ref op);
                op.Imm = mnemonic == Mnemonic.Pdep ? 0 : 1;
                return Two(op.Size, &BitHandlers.DepositExtract<Size32>, &BitHandlers.DepositExtract<Size64>);
            case Mnemonic.Mulx:
                ReadSwapped(instruction, ref op);
                return Two(op.Size, &MultiplyHandlers.WithoutFlags<Size32>, &MultiplyHandlers.WithoutFlags<Size64>);
            case Mnemonic.Blsi or Mnemonic.Blsmsk or Mnemonic.Blsr:
                Read(instruction, ref op);
                op.Imm = mnemonic switch { Mnemonic.Blsi => 0, Mnemonic.Blsmsk => 1, _ => 2 };
                return Two(op.Size, &BitHandlers.LowestBit<Size32>, &BitHandlers.LowestBit<Size64>);
            case Mnemonic.Bextr:
                Read(instruction, ref op);
                return Two(op.Size, &BitHandlers.ExtractField<Size32>, &BitHandlers.ExtractField<Size64>);
            case Mnemonic.Bzhi:
                Read(instruction, ref op);
                return Two(op.Size, &BitHandlers.ZeroHighBits<Size32>, &BitHandlers.ZeroHighBits<Size64>);
            case Mnemonic.Sarx or Mnemonic.Shlx or Mnemonic.Shrx:
                Read(instruction, ref op);
                op.Imm = mnemonic switch { Mnemonic.Sarx => 0, Mnemonic.Shlx => 1, _ => 2 };
                return Two(op.Size, &ShiftHandlers.WithoutFlags<Size32>, &ShiftHandlers.WithoutFlags<Size64>);
            case Mnemonic.Rorx:
                Read(instruction, ref op);
                op.Imm = instruction.Immediate8;
                return Two(op.Size, &ShiftHandlers.RotateWithoutFlags<Size32>, &ShiftHandlers.RotateWithoutFlags<Size64>);
            default:
                return null;
        }
    }

    private static Handler Two(int size, Handler h32, Handler h64) => size == 4 ? h32 : h64;

    private static Handler ClearWord(ref Op op)
    {
        op.Imm = 0;
        return &MoveHandlers.RegisterImmediate<Size16>;
    }

    private static void Read(in Instruction instruction, ref Op op) => IntegerSelector.ReadRegistersAndSize(instruction, ref op, 0);

    private static void ReadSwapped(in Instruction instruction, ref Op op)
    {
        Read(instruction, ref op);
        (op.R1, op.R2) = (op.R2, op.R1);
    }

    private static void ReadBit(in Instruction instruction, ref Op op)
    {
        Read(instruction, ref op);
        if (instruction.GetOpKind(1) == OpKind.Register)
        {
            op.Flags |= OpFlags.Variant;
        }
        else
        {
            op.Imm = instruction.Immediate8;
        }
    }

    private static void ReadDouble(in Instruction instruction, ref Op op)
    {
        Read(instruction, ref op);
        if (instruction.GetOpKind(2) == OpKind.Register)
        {
            op.Flags |= OpFlags.Variant;
        }
        else
        {
            op.Imm = instruction.Immediate8;
        }
    }
}
