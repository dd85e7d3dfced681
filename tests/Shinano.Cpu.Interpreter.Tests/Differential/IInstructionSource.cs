using Iced.Intel;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Where a case's instructions come from.</summary>
internal interface IInstructionSource
{
    /// <summary>Makes the next instruction; may fail, and will then be asked again.</summary>
    bool TryNext(CaseRandom random, ulong rip, out Instruction instruction, out byte[] bytes);
}
