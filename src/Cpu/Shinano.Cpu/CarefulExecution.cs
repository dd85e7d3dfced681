using Shinano.X86;

namespace Shinano.Cpu;

/// <summary>
/// The one place that says whether a vCPU must be run carefully: an instruction at a time, with its accesses looked at. Code that runs at full speed knows
/// nothing of TF, debug registers and alignment checks; an engine asks here before it runs such code and hands the stretch to a careful mode otherwise.
/// </summary>
/// <remarks>
/// The answer is a function of <see cref="CpuState"/> alone. Inside a run only POPF and IRET (and, in a stretch that is already careful, MOV SS) change it,
/// since what else sets these registers at CPL 3 is the hypervisor, between runs. So it is enough to ask at the start of <see cref="VirtualCpu.Run"/> and after an
/// instruction for which <see cref="FlagsMatter"/>; while nothing is on, that is the whole cost.
/// </remarks>
public static unsafe class CarefulExecution
{
    /// <summary>Flags that take part in the answer: POPF and IRET ask again when they change one of these.</summary>
    public const ulong Flags = Rflags.Trap | Rflags.AlignmentCheck;

    private const ulong Cr0AlignmentMask = 1UL << 18;

    /// <summary>What the state asks for before its next instruction.</summary>
    /// <param name="state">A vCPU that is at an instruction boundary.</param>
    public static CarefulReasons ReasonsOf(CpuState* state)
    {
        CarefulReasons reasons = CarefulReasons.None;
        if ((state->Rflags & Flags) != 0)
        {
            if ((state->Rflags & Rflags.Trap) != 0)
            {
                reasons |= CarefulReasons.SingleStep;
            }

            if ((state->Rflags & Rflags.AlignmentCheck) != 0 && (state->Cr0 & Cr0AlignmentMask) != 0 && state->Cpl == 3)
            {
                reasons |= CarefulReasons.AlignmentChecks;
            }
        }

        if ((state->Dr[7] & DebugControl.AnyEnabled) != 0)
        {
            reasons |= CarefulReasons.Breakpoints;
        }

        return state->InterruptShadow == 0 ? reasons : reasons | CarefulReasons.Shadow;
    }

    /// <summary>Whether an instruction that took RFLAGS from one value to another may have changed the answer.</summary>
    public static bool FlagsMatter(ulong before, ulong after) => ((before ^ after) & Flags) != 0;
}
