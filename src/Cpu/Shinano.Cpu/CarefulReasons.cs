namespace Shinano.Cpu;

/// <summary>Why a vCPU must be run one instruction at a time; see <see cref="CarefulExecution"/>.</summary>
[Flags]
public enum CarefulReasons
{
    /// <summary>Nothing asks for it: code may run at full speed.</summary>
    None = 0,

    /// <summary>RFLAGS.TF: a debug trap after each instruction (SDM 3B §17.3.1.4).</summary>
    SingleStep = 1,

    /// <summary>DR7 enables a breakpoint: instructions and data accesses are compared with DR0 to DR3 (SDM 3B §17.2).</summary>
    Breakpoints = 2,

    /// <summary>RFLAGS.AC and CR0.AM at CPL 3: misaligned data accesses are #AC (SDM 3A §6.15, interrupt 17).</summary>
    AlignmentChecks = 4,

    /// <summary>MOV SS or POP SS came before: debug exceptions are held off for one instruction (SDM 3A §6.8.3).</summary>
    Shadow = 8,
}
