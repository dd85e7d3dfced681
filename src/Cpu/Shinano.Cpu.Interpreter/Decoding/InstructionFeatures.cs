using Iced.Intel;
using Shinano.Cpu.HostCode;

namespace Shinano.Cpu.Interpreter;

/// <summary>Which feature groups instructions belong to.</summary>
internal static class InstructionFeatures
{
    /// <summary>Groups that handlers of our own implement whatever the host is.</summary>
    private const CpuFeatures Own = CpuFeatures.Movbe | CpuFeatures.Popcnt | CpuFeatures.Rdrand | CpuFeatures.Rdseed | CpuFeatures.Bmi1
        | CpuFeatures.Lzcnt | CpuFeatures.Adx | CpuFeatures.Fsgsbase | CpuFeatures.Clflushopt | CpuFeatures.Clwb | CpuFeatures.Erms
        | CpuFeatures.Fsrm | CpuFeatures.Rdpid | CpuFeatures.Xsave;

    /// <summary>What the engine executes on this host: its own groups, and those that the host CPU executes for it.</summary>
    public static CpuFeatures Supported => Own | HostFeatures.Detect();

    /// <summary>The optional group of an instruction that our own handlers execute; none for the base set.</summary>
    public static CpuFeatures Of(in Instruction instruction)
    {
        CpuFeatures needed = CpuFeatures.None;
        foreach (CpuidFeature feature in instruction.CpuidFeatures)
        {
            needed |= feature switch
            {
                CpuidFeature.MOVBE => CpuFeatures.Movbe,
                CpuidFeature.POPCNT => CpuFeatures.Popcnt,
                CpuidFeature.RDRAND => CpuFeatures.Rdrand,
                CpuidFeature.RDSEED => CpuFeatures.Rdseed,
                CpuidFeature.BMI1 => CpuFeatures.Bmi1,
                CpuidFeature.BMI2 => CpuFeatures.Bmi2,
                CpuidFeature.LZCNT => CpuFeatures.Lzcnt,
                CpuidFeature.ADX => CpuFeatures.Adx,
                CpuidFeature.FSGSBASE => CpuFeatures.Fsgsbase,
                CpuidFeature.CLFLUSHOPT => CpuFeatures.Clflushopt,
                CpuidFeature.CLWB => CpuFeatures.Clwb,
                CpuidFeature.RDPID => CpuFeatures.Rdpid,
                CpuidFeature.XSAVE or CpuidFeature.XSAVEC or CpuidFeature.XSAVEOPT => CpuFeatures.Xsave,
                CpuidFeature.SSE4_2 => CpuFeatures.Sse42,
                CpuidFeature.AVX => CpuFeatures.Avx,
                CpuidFeature.AVX2 => CpuFeatures.Avx2,
                _ => CpuFeatures.None,
            };
        }

        return needed;
    }
}
