using Iced.Intel;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>The interpreter against the bare CPU: single instructions of every encoding, and short sequences.</summary>
public sealed class InterpreterDifferentialTests
{
    private static readonly CpuFeatures Features = InterpreterEngine.Supported;

    [Fact]
    public void Integer_instructions_agree_with_the_cpu() => Check(CodeLists.IntegerCodes(Features), 12000, 1);

    [Fact]
    public void Privileged_instructions_agree_with_the_cpu() => Check(CodeLists.PrivilegedCodes(Features), 1000, 1);

    [Fact]
    public void Vector_instructions_agree_with_the_cpu() => Check(CodeLists.VectorCodes(Features), 8000, 1);

    [Fact]
    public void X87_instructions_agree_with_the_cpu() => Check(CodeLists.X87Codes(Features), 3000, 1);

    [Fact]
    public void Mmx_instructions_agree_with_the_cpu() => Check(CodeLists.MmxCodes(Features), 2000, 1);

    [Fact]
    public void Branches_agree_with_the_cpu() => Check(CodeLists.BranchCodes, 2000, 1);

    [Fact]
    public void State_saving_agrees_with_the_cpu() => Check(CodeLists.StateCodes, 2000, 1);

    [Fact]
    public void Flag_instructions_agree_with_the_cpu() => Check(CodeLists.FlagCodes, 1000, 1);

    [Fact]
    public void Mutated_bytes_agree_with_the_cpu() => Check(
        new MutatedSource([.. CodeLists.IntegerCodes(Features), .. CodeLists.PrivilegedCodes(Features), .. CodeLists.VectorCodes(Features),
            .. CodeLists.X87Codes(Features), .. CodeLists.MmxCodes(Features)]),
        6000,
        1);

    [Fact]
    public void Integer_sequences_agree_with_the_cpu() => Check(CodeLists.IntegerCodes(Features), 6000, 12);

    [Fact]
    public void Mixed_sequences_agree_with_the_cpu() => Check(
        [
            .. CodeLists.IntegerCodes(Features),
            .. CodeLists.VectorCodes(Features),

            // FNSTENV and FNSAVE show the opcode of the instruction before, which is not kept exactly (docs/design/host-code.md).
            .. CodeLists.X87Codes(Features).Where(c => c.Mnemonic() is not (Mnemonic.Fnstenv or Mnemonic.Fnsave)),
        ],
        4000,
        12);

    private static void Check(IReadOnlyList<Code> codes, int count, int length) => Check(new EncodedSource(codes), count, length);

    private static void Check(IInstructionSource source, int count, int length)
    {
        using InterpreterExecutor executor = new(Features);
        count = DifferentialRun.Budget(count);
        CaseGenerator generator = new(source) { MinimumLength = Math.Min(length, 4), MaximumLength = length };
        DifferentialRun.Check(generator, executor, count, count);
    }
}
