using Shinano.Cpu.Interpreter;

namespace Shinano.Cpu.Translator.Tests.LockStep;

/// <summary>A vCPU of the translator some of whose runs the interpreter repeats on a copy of the machine.</summary>
internal sealed unsafe class ShadowCpu(TranslatorEngine engine, InterpreterEngine interpreter, ShadowMachine shadow) : TranslatorCpu(engine, interpreter)
{
    protected override void RunCore(ref CpuExit exit)
    {
        if (!shadow.WantsNext())
        {
            base.RunCore(ref exit);
            return;
        }

        ulong before = InstructionCount;
        shadow.Copy(State);
        base.RunCore(ref exit);
        shadow.Compare(State, exit, InstructionCount - before);
    }
}
