using Iced.Intel;

namespace Shinano.Cpu.Interpreter;

/// <summary>PUSH, POP, ENTER, LEAVE, PUSHF, POPF, LAHF, SAHF.</summary>
internal static unsafe class StackSelector
{
    public static Selection Select(in Instruction instruction, ref Op op)
    {
        if (instruction.Mnemonic is not (Mnemonic.Push or Mnemonic.Pop or Mnemonic.Enter or Mnemonic.Leave or Mnemonic.Pushf or Mnemonic.Pushfq
            or Mnemonic.Popf or Mnemonic.Popfq or Mnemonic.Lahf or Mnemonic.Sahf))
        {
            return Selection.NotMine;
        }

        // The implicit access is through SS, an explicit operand not always.
        op.R2 = (byte)((op.Flags & (OpFlags.Memory | OpFlags.Stack)) == OpFlags.Memory ? 1 : 0);
        op.Flags |= OpFlags.Stack;
        int size = Math.Abs(instruction.StackPointerIncrement);
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Push:
                SelectPush(instruction, ref op, size);
                return Selection.Continues;
            case Mnemonic.Pop:
                SelectPop(instruction, ref op, size);
                return Selection.Continues;
            case Mnemonic.Enter:
                op.Imm = instruction.Immediate16;
                op.R2 = instruction.Immediate8_2nd;
                op.Handler = instruction.Code == Code.Enterw_imm16_imm8 ? &StackHandlers.Enter<Size16> : &StackHandlers.Enter<Size64>;
                return Selection.Continues;
            case Mnemonic.Leave:
                op.Handler = instruction.Code == Code.Leavew ? &StackHandlers.Leave<Size16> : &StackHandlers.Leave<Size64>;
                return Selection.Continues;
            case Mnemonic.Pushf or Mnemonic.Pushfq:
                op.Handler = size == 2 ? &StackHandlers.PushFlags<Size16> : &StackHandlers.PushFlags<Size64>;
                return Selection.Continues;
            case Mnemonic.Popf or Mnemonic.Popfq:
                op.Handler = size == 2 ? &StackHandlers.PopFlags<Size16> : &StackHandlers.PopFlags<Size64>;
                return Selection.Continues;
            case Mnemonic.Lahf:
                op.Handler = &StackHandlers.LoadAh;
                return Selection.Continues;
            case Mnemonic.Sahf:
                op.Handler = &StackHandlers.StoreAh;
                return Selection.Continues;
            default:
                return Selection.NotMine;
        }
    }

    private static void SelectPush(in Instruction instruction, ref Op op, int size)
    {
        if (OperandReader.IsImmediate(instruction.GetOpKind(0)))
        {
            op.Imm = (long)instruction.GetImmediate(0);
            op.Flags |= OpFlags.Variant;
            op.Handler = size == 2 ? &StackHandlers.Push<Size16> : &StackHandlers.Push<Size64>;
            return;
        }

        bool register = instruction.GetOpKind(0) == OpKind.Register;
        if (register && instruction.GetOpRegister(0).IsSegmentRegister())
        {
            op.R2 = (byte)instruction.GetOpRegister(0).GetNumber();
            op.Handler = size == 2 ? &SegmentHandlers.Push<Size16> : &SegmentHandlers.Push<Size64>;
            return;
        }

        OperandReader.ReadRegisters(instruction, ref op);
        op.Handler = size == 2 ? &StackHandlers.Push<Size16>
            : register ? &StackHandlers.PushRegister
            : &StackHandlers.Push<Size64>;
    }

    private static void SelectPop(in Instruction instruction, ref Op op, int size)
    {
        bool register = instruction.GetOpKind(0) == OpKind.Register;
        if (register && instruction.GetOpRegister(0).IsSegmentRegister())
        {
            op.R2 = (byte)instruction.GetOpRegister(0).GetNumber();
            op.Handler = size == 2 ? &SegmentHandlers.Pop<Size16> : &SegmentHandlers.Pop<Size64>;
            return;
        }

        OperandReader.ReadRegisters(instruction, ref op);
        op.Handler = size == 2 ? &StackHandlers.Pop<Size16>
            : register ? &StackHandlers.PopRegister
            : &StackHandlers.Pop<Size64>;
    }
}
