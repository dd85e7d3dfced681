using Iced.Intel;
using Shinano.Cpu.HostCode;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Host code stubs against the same instructions on the bare CPU.</summary>
public sealed class StubDifferentialTests
{
    [Fact]
    public void Vector_instructions_agree_with_the_cpu() => Check(CodeLists.VectorCodes(HostFeatures.Detect()), 8000);

    [Fact]
    public void X87_instructions_agree_with_the_cpu() => Check(CodeLists.X87Codes(HostFeatures.Detect()), 3000);

    [Fact]
    public void Mmx_instructions_agree_with_the_cpu() => Check(CodeLists.MmxCodes(HostFeatures.Detect()), 2000);

    [Fact]
    public void Bit_instructions_agree_with_the_cpu() => Check(
        [.. CodeLists.IntegerCodes(HostFeatures.Detect()).Where(c => c.CpuidFeatures()[0] is CpuidFeature.POPCNT or CpuidFeature.LZCNT
            or CpuidFeature.BMI1 or CpuidFeature.BMI2 or CpuidFeature.ADX or CpuidFeature.MOVBE)],
        2000);

    private static void Check(IReadOnlyList<Code> codes, int count)
    {
        using StubExecutor executor = new();
        count = DifferentialRun.Budget(count);
        DifferentialRun.Check(new CaseGenerator(new EncodedSource(codes)) { ValidAddressesOnly = true }, executor, count, count / 2);
    }
}
