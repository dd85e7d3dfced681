using Iced.Intel;

namespace Shinano.Cpu.Interpreter;

/// <summary>String instructions and XLAT: memory through implicit registers.</summary>
internal static unsafe class StringSelector
{
    public static Selection Select(in Instruction instruction, Mnemonic mnemonic, ref Op op)
    {
        switch (mnemonic)
        {
            case Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsq:
            case Mnemonic.Movsd when instruction.IsStringInstruction:
                Read(instruction, ref op);
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &StringHandlers.Move<Size8>,
                    &StringHandlers.Move<Size16>,
                    &StringHandlers.Move<Size32>,
                    &StringHandlers.Move<Size64>);
                return Selection.Continues;
            case Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq:
                Read(instruction, ref op);
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &StringHandlers.Fill<Size8>,
                    &StringHandlers.Fill<Size16>,
                    &StringHandlers.Fill<Size32>,
                    &StringHandlers.Fill<Size64>);
                return Selection.Continues;
            case Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd or Mnemonic.Lodsq:
                Read(instruction, ref op);
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &StringHandlers.Load<Size8>,
                    &StringHandlers.Load<Size16>,
                    &StringHandlers.Load<Size32>,
                    &StringHandlers.Load<Size64>);
                return Selection.Continues;
            case Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsq:
            case Mnemonic.Cmpsd when instruction.IsStringInstruction:
                Read(instruction, ref op);
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &StringHandlers.Compare<Size8>,
                    &StringHandlers.Compare<Size16>,
                    &StringHandlers.Compare<Size32>,
                    &StringHandlers.Compare<Size64>);
                return Selection.Continues;
            case Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq:
                Read(instruction, ref op);
                op.Handler = HandlerPicker.BySize(
                    op.Size,
                    &StringHandlers.Scan<Size8>,
                    &StringHandlers.Scan<Size16>,
                    &StringHandlers.Scan<Size32>,
                    &StringHandlers.Scan<Size64>);
                return Selection.Continues;
            case Mnemonic.Xlatb:
                op.Segment = OperandReader.SegmentSlot(instruction.MemorySegment);
                op.Handler = &MoveHandlers.Translate;
                return Selection.Continues;
            default:
                return Selection.NotMine;
        }
    }

    private static void Read(in Instruction instruction, ref Op op)
    {
        op.Size = (byte)instruction.MemorySize.GetSize();
        op.Segment = OperandReader.SegmentSlot(instruction.SegmentPrefix);
        if (instruction.HasRepPrefix)
        {
            op.Flags |= OpFlags.Rep;
        }

        if (instruction.HasRepnePrefix)
        {
            op.Flags |= OpFlags.Repne;
        }

        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) is OpKind.MemorySegESI or OpKind.MemoryESEDI or OpKind.MemorySegEDI)
            {
                op.Flags |= OpFlags.Address32;
            }
        }
    }
}
