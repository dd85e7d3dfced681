using Iced.Intel;

namespace Shinano.Cpu.HostCode;

/// <summary>Everything of an instruction that a stub depends on: two instructions with equal keys share one.</summary>
internal readonly record struct StubKey(Code Code, Register Op0, Register Op1, Register Op2, Register Op3, ulong Immediate)
{
    public static StubKey Of(in Instruction instruction) => new(
        instruction.Code,
        Operand(instruction, 0),
        Operand(instruction, 1),
        Operand(instruction, 2),
        Operand(instruction, 3),
        instruction.OpCount > 0 && instruction.GetOpKind(instruction.OpCount - 1) == OpKind.Immediate8 ? instruction.Immediate8 : 0UL);

    // A memory operand, whatever its address, is Register.None.
    private static Register Operand(in Instruction instruction, int index) =>
        index < instruction.OpCount && instruction.GetOpKind(index) == OpKind.Register ? instruction.GetOpRegister(index) : Register.None;
}
