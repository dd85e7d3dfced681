using Iced.Intel;

namespace Shinano.Cpu.Interpreter;

/// <summary>Jumps, calls and returns.</summary>
internal static unsafe class FlowSelector
{
    public static Selection Select(in Instruction instruction, ref Op op)
    {
        switch (instruction.FlowControl)
        {
            case FlowControl.ConditionalBranch when instruction.OpCount == 1 && instruction.IsJccShortOrNear:
                op.Imm = (long)instruction.NearBranchTarget;
                op.Handler = ConditionPicker.Pick(instruction.ConditionCode, Direction(op));
                return Selection.Continues;
            case FlowControl.ConditionalBranch:
                return SelectCounted(instruction, ref op);
            case FlowControl.UnconditionalBranch when instruction.IsJmpShortOrNear:
                op.Imm = (long)instruction.NearBranchTarget;
                op.Handler = IsNear(op) ? &BranchHandlers.Jump : &BranchHandlers.JumpFar;
                return Selection.Ends;
            case FlowControl.Call when instruction.IsCallNear:
                op.Imm = (long)instruction.NearBranchTarget;
                op.Flags |= OpFlags.Stack;
                op.Handler = IsNear(op) ? &BranchHandlers.Call : &BranchHandlers.CallFar;
                return Selection.Ends;
            case FlowControl.IndirectBranch when instruction.IsJmpNearIndirect && OperandReader.Size(instruction, 0) == 8:
                OperandReader.ReadRegisters(instruction, ref op);
                op.Handler = &BranchHandlers.JumpIndirect;
                return Selection.Ends;
            case FlowControl.IndirectCall when instruction.IsCallNearIndirect && OperandReader.Size(instruction, 0) == 8:
                OperandReader.ReadRegisters(instruction, ref op);
                op.Handler = &BranchHandlers.CallIndirect;
                return Selection.Ends;
            case FlowControl.Return when instruction.Mnemonic == Mnemonic.Ret:
                op.Imm = instruction.OpCount == 1 ? instruction.Immediate16 : 0;
                op.Flags |= OpFlags.Stack;
                op.Handler = &BranchHandlers.Return;
                return Selection.Ends;
            default:
                return Selection.NotMine;
        }
    }

    private static Selection SelectCounted(in Instruction instruction, ref Op op)
    {
        op.Imm = (long)instruction.NearBranchTarget;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Jrcxz:
            case Mnemonic.Jecxz:
                op.Size = (byte)(instruction.Mnemonic == Mnemonic.Jrcxz ? 8 : 4);
                op.Handler = &BranchHandlers.JumpIfCountZero;
                return Selection.Continues;
            case Mnemonic.Loop:
            case Mnemonic.Loope:
            case Mnemonic.Loopne:
                op.R0 = (byte)(instruction.Mnemonic switch { Mnemonic.Loop => 0, Mnemonic.Loope => 1, _ => 2 });
                op.Size = (byte)(instruction.Code.ToString().EndsWith("_RCX", StringComparison.Ordinal) ? 8 : 4);
                op.Handler = &BranchHandlers.Loop;
                return Selection.Continues;
            default:
                return Selection.NotMine;
        }
    }

    private static bool IsNear(in Op op) => (op.Flags & OpFlags.Private) == 0 && (ulong)op.Imm < 4096;

    private static ConditionPicker.Purpose Direction(in Op op) =>
        !IsNear(op) ? ConditionPicker.Purpose.JumpFar
        : op.Imm > op.Offset ? ConditionPicker.Purpose.JumpForward
        : ConditionPicker.Purpose.JumpBackward;
}
