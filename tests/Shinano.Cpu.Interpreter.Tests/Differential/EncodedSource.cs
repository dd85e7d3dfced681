using Iced.Intel;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Valid instructions of a list of encodings.</summary>
internal sealed class EncodedSource(IReadOnlyList<Code> codes) : IInstructionSource
{
    public bool TryNext(CaseRandom random, ulong rip, out Instruction instruction, out byte[] bytes) =>
        new InstructionGenerator(random).TryGenerate(random.Pick(codes), rip, out instruction, out bytes);
}
