using Iced.Intel;

namespace Shinano.Cpu.Interpreter;

/// <summary>Masked moves and gathers of AVX and AVX2.</summary>
internal static unsafe class MaskedMoveSelector
{
    public static Selection Select(in Instruction instruction, ref Op op)
    {
        // EVEX forms of the same names are AVX-512, which is not advertised.
        if (instruction.Encoding is not (EncodingKind.VEX or EncodingKind.Legacy))
        {
            return Selection.NotMine;
        }

        switch (instruction.Mnemonic)
        {
            case Mnemonic.Vmaskmovps or Mnemonic.Vpmaskmovd:
                return Masked(instruction, ref op, 4);
            case Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovq:
                return Masked(instruction, ref op, 8);
            case Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu:
                op.R0 = Number(instruction, 1);
                op.R1 = Number(instruction, 2);
                op.Size = 1;
                op.Segment = OperandReader.SegmentSlot(instruction.SegmentPrefix);
                if (instruction.Mnemonic == Mnemonic.Vmaskmovdqu)
                {
                    op.Flags |= OpFlags.Variant;
                }

                if (instruction.GetOpKind(0) == OpKind.MemorySegEDI)
                {
                    op.Flags |= OpFlags.Address32;
                }

                op.Handler = &MaskedMoveHandlers.StoreBytes;
                return Selection.Continues;
            case Mnemonic.Vgatherdps or Mnemonic.Vpgatherdd:
                return Gather(instruction, ref op, 4, 4);
            case Mnemonic.Vgatherdpd or Mnemonic.Vpgatherdq:
                return Gather(instruction, ref op, 8, 4);
            case Mnemonic.Vgatherqps or Mnemonic.Vpgatherqd:
                return Gather(instruction, ref op, 4, 8);
            case Mnemonic.Vgatherqpd or Mnemonic.Vpgatherqq:
                return Gather(instruction, ref op, 8, 8);
            default:
                return Selection.NotMine;
        }
    }

    private static Selection Masked(in Instruction instruction, ref Op op, byte element)
    {
        op.Size = element;
        bool store = instruction.GetOpKind(0) == OpKind.Memory;
        op.R0 = store ? (byte)0 : Number(instruction, 0);
        op.R1 = Number(instruction, 1);
        op.R2 = store ? Number(instruction, 2) : (byte)0;
        op.Imm = instruction.GetOpRegister(1).GetSize();
        op.Handler = store ? &MaskedMoveHandlers.Store : &MaskedMoveHandlers.Load;
        return Selection.Continues;
    }

    private static Selection Gather(in Instruction instruction, ref Op op, byte element, int indexSize)
    {
        op.Size = element;
        op.R0 = Number(instruction, 0);
        op.R1 = (byte)instruction.MemoryIndex.GetNumber();
        op.R2 = Number(instruction, 2);
        op.Index = CoreSlots.Zero;

        // The number of elements follows from the longer of both vectors: the index's or the data's.
        int length = Math.Max(instruction.GetOpRegister(0).GetSize(), instruction.MemoryIndex.GetSize());
        op.Imm = length | (indexSize << 8);
        op.Handler = &MaskedMoveHandlers.Gather;
        return Selection.Continues;
    }

    private static byte Number(in Instruction instruction, int operand) => (byte)instruction.GetOpRegister(operand).GetNumber();
}
