namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Something of ours that runs cases.</summary>
internal interface ICaseExecutor
{
    /// <summary>Runs a case from its initial state.</summary>
    /// <returns>The outcome; null when this executor does not run such code.</returns>
    MachineCase? Run(MachineCase initial);
}
