using Iced.Intel;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Which encodings are compared: all of 64-bit mode that a domain's CPU may have, minus what has no reproducible result in user mode.</summary>
internal static class CodeLists
{
    private static readonly Dictionary<CpuidFeature, CpuFeatures> Integer = new()
    {
        [CpuidFeature.INTEL8086] = CpuFeatures.None,
        [CpuidFeature.INTEL186] = CpuFeatures.None,
        [CpuidFeature.INTEL286] = CpuFeatures.None,
        [CpuidFeature.INTEL386] = CpuFeatures.None,
        [CpuidFeature.INTEL486] = CpuFeatures.None,
        [CpuidFeature.X64] = CpuFeatures.None,
        [CpuidFeature.CX8] = CpuFeatures.None,
        [CpuidFeature.CMOV] = CpuFeatures.None,
        [CpuidFeature.CMPXCHG16B] = CpuFeatures.None,
        [CpuidFeature.MULTIBYTENOP] = CpuFeatures.None,
        [CpuidFeature.PAUSE] = CpuFeatures.None,
        [CpuidFeature.PREFETCHW] = CpuFeatures.None,
        [CpuidFeature.POPCNT] = CpuFeatures.Popcnt,
        [CpuidFeature.LZCNT] = CpuFeatures.Lzcnt,
        [CpuidFeature.BMI1] = CpuFeatures.Bmi1,
        [CpuidFeature.BMI2] = CpuFeatures.Bmi2,
        [CpuidFeature.ADX] = CpuFeatures.Adx,
        [CpuidFeature.MOVBE] = CpuFeatures.Movbe,
        [CpuidFeature.FSGSBASE] = CpuFeatures.Fsgsbase,
    };

    private static readonly Dictionary<CpuidFeature, CpuFeatures> Vector = new()
    {
        [CpuidFeature.SSE] = CpuFeatures.None,
        [CpuidFeature.SSE2] = CpuFeatures.None,
        [CpuidFeature.SSE3] = CpuFeatures.Sse3,
        [CpuidFeature.SSSE3] = CpuFeatures.Ssse3,
        [CpuidFeature.SSE4_1] = CpuFeatures.Sse41,
        [CpuidFeature.SSE4_2] = CpuFeatures.Sse42,
        [CpuidFeature.AES] = CpuFeatures.Aes,
        [CpuidFeature.PCLMULQDQ] = CpuFeatures.Pclmulqdq,
        [CpuidFeature.GFNI] = CpuFeatures.Gfni,
        [CpuidFeature.SHA] = CpuFeatures.ShaNi,
        [CpuidFeature.AVX] = CpuFeatures.Avx,
        [CpuidFeature.AVX2] = CpuFeatures.Avx2,
        [CpuidFeature.FMA] = CpuFeatures.Fma,
        [CpuidFeature.F16C] = CpuFeatures.F16c,
        [CpuidFeature.VAES] = CpuFeatures.Vaes,
        [CpuidFeature.VPCLMULQDQ] = CpuFeatures.Vpclmulqdq,
    };

    private static readonly Dictionary<CpuidFeature, CpuFeatures> X87 = new()
    {
        [CpuidFeature.FPU] = CpuFeatures.None,
        [CpuidFeature.FPU287] = CpuFeatures.None,
        [CpuidFeature.FPU387] = CpuFeatures.None,
        [CpuidFeature.CMOV] = CpuFeatures.None,
        [CpuidFeature.SSE3] = CpuFeatures.Sse3,
        [CpuidFeature.MMX] = CpuFeatures.None,
    };

    // Segment loads and reads of descriptor state differ by kernel (and UMIP); INT n, far transfers and system calls leave user mode; POPF and
    // branches have tests of their own.
    private static readonly HashSet<Mnemonic> Excluded =
    [
        Mnemonic.Lss, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Sgdt, Mnemonic.Sidt, Mnemonic.Sldt, Mnemonic.Str, Mnemonic.Smsw, Mnemonic.Lar,
        Mnemonic.Lsl, Mnemonic.Verr, Mnemonic.Verw, Mnemonic.Cpuid, Mnemonic.Popf, Mnemonic.Popfq, Mnemonic.Pushf, Mnemonic.Pushfq,
        Mnemonic.Ud0, Mnemonic.Ud1, Mnemonic.Ud2, Mnemonic.Reservednop,
    ];

    // Names of WAIT plus an instruction, and their operands are in the x87 environment's tests.
    private static readonly HashSet<Mnemonic> ExcludedX87 =
    [
        Mnemonic.Fstenv, Mnemonic.Fstcw, Mnemonic.Feni, Mnemonic.Fdisi, Mnemonic.Fclex, Mnemonic.Finit, Mnemonic.Fsetpm, Mnemonic.Fsave,
        Mnemonic.Fstsw,
    ];

    /// <summary>General registers and memory only.</summary>
    public static IReadOnlyList<Code> IntegerCodes(CpuFeatures features) => Select(Integer, features, c => !IsPrivileged(c));

    /// <summary>What user mode may not do: all of them #GP or #UD.</summary>
    public static IReadOnlyList<Code> PrivilegedCodes(CpuFeatures features) =>
        Select(Integer, features, c => IsPrivileged(c) && c.Mnemonic() is not (Mnemonic.Mov or Mnemonic.Swapgs));

    /// <summary>SSE to AVX2 and friends.</summary>
    public static IReadOnlyList<Code> VectorCodes(CpuFeatures features) => Select(Vector, features, c => !HasMmx(c));

    /// <summary>x87.</summary>
    public static IReadOnlyList<Code> X87Codes(CpuFeatures features) => Select(X87, features, c => c.CpuidFeatures()[0] is not (CpuidFeature.MMX or CpuidFeature.CMOV or CpuidFeature.SSE3));

    /// <summary>MMX, those of SSE included.</summary>
    public static IReadOnlyList<Code> MmxCodes(CpuFeatures features) =>
        [.. Select(Vector, features, HasMmx), .. Select(X87, features, c => c.CpuidFeatures()[0] == CpuidFeature.MMX)];

    /// <summary>
    /// Instructions that save and load the vector state. Not XSAVEOPT, which may leave anything out, and XRSTOR only as random bytes make it: mostly #GP.
    /// </summary>
    public static IReadOnlyList<Code> StateCodes { get; } =
    [
        Code.Fxsave_m512byte, Code.Fxsave64_m512byte, Code.Fxrstor_m512byte, Code.Fxrstor64_m512byte, Code.Xsave_mem, Code.Xsave64_mem, Code.Xsavec_mem,
        Code.Xsavec64_mem, Code.Xrstor_mem, Code.Xrstor64_mem, Code.Ldmxcsr_m32, Code.Stmxcsr_m32,
    ];

    /// <summary>Flags through the stack.</summary>
    public static IReadOnlyList<Code> FlagCodes { get; } =
        [Code.Popfw, Code.Popfq, Code.Pushfw, Code.Pushfq, Code.Lahf, Code.Sahf, Code.Cld, Code.Std, Code.Cmc, Code.Stc];

    /// <summary>Branches inside the code page, near ones only.</summary>
    public static IReadOnlyList<Code> BranchCodes { get; } =
    [
        .. Enum.GetValues<Code>().Where(c => c.ToOpCode() is { IsInstruction: true, Mode64: true, Encoding: EncodingKind.Legacy } opCode
            && c.CpuidFeatures().All(Integer.ContainsKey)
            && c.FlowControl() is FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch or FlowControl.Call or FlowControl.IndirectBranch
                or FlowControl.IndirectCall or FlowControl.Return
            && opCode.Mnemonic is not (Mnemonic.Iret or Mnemonic.Iretd or Mnemonic.Iretq or Mnemonic.Retf)

            // Far ones, and those of 16 bits, which CPUs of different makers treat differently.
            && opCode.OperandSize != 16
            && !c.ToString().Contains("_m16", StringComparison.Ordinal)
            && !c.ToString().EndsWith("16", StringComparison.Ordinal)),
    ];

    /// <summary>Whether an instruction, however it came about, gives the same result on the host as in a domain.</summary>
    public static bool IsComparable(in Instruction instruction)
    {
        Code code = instruction.Code;
        foreach (CpuidFeature feature in code.CpuidFeatures())
        {
            if (!Integer.ContainsKey(feature) && !Vector.ContainsKey(feature) && !X87.ContainsKey(feature))
            {
                return false;
            }
        }

        OpCodeInfo opCode = code.ToOpCode();
        return opCode.Encoding is EncodingKind.Legacy or EncodingKind.VEX
            && instruction.FlowControl == FlowControl.Next
            && !Excluded.Contains(instruction.Mnemonic)
            && !LoadsSegment(opCode)
            && code is not (Code.Movsxd_r16_rm16 or Code.Swapgs)
            && !(instruction.Mnemonic == Mnemonic.Mov && opCode.IsPrivileged)

            // F3 41 90 is XCHG on AMD's CPUs.
            && !(instruction.Mnemonic == Mnemonic.Pause && instruction.Length > 2);
    }

    private static List<Code> Select(Dictionary<CpuidFeature, CpuFeatures> groups, CpuFeatures features, Func<Code, bool> filter)
    {
        List<Code> selected = [];
        foreach (Code code in Enum.GetValues<Code>())
        {
            OpCodeInfo opCode = code.ToOpCode();
            if (opCode.IsInstruction
                && opCode.Mode64
                && opCode.Encoding is EncodingKind.Legacy or EncodingKind.VEX
                && code.FlowControl() == FlowControl.Next
                && code.CpuidFeatures().All(f => groups.TryGetValue(f, out CpuFeatures needed) && (needed & ~features) == 0)
                && !Excluded.Contains(code.Mnemonic())
                && !ExcludedX87.Contains(code.Mnemonic())
                && !LoadsSegment(opCode)

                // SDM 2B: a 16-bit source. AMD's CPUs read 32 bits.
                && code != Code.Movsxd_r16_rm16
                && filter(code))
            {
                selected.Add(code);
            }
        }

        return selected;
    }

    private static bool IsPrivileged(Code code) =>
        code.ToOpCode().IsPrivileged || code.Mnemonic() is Mnemonic.Cli or Mnemonic.Sti or Mnemonic.In or Mnemonic.Out;

    private static bool HasMmx(Code code)
    {
        OpCodeInfo opCode = code.ToOpCode();
        for (int i = 0; i < opCode.OpCount; i++)
        {
            if (opCode.GetOpKind(i) is OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm or OpCodeOperandKind.mm_or_mem)
            {
                return true;
            }
        }

        return code is Code.Emms or Code.Maskmovq_rDI_mm_mm;
    }

    private static bool LoadsSegment(OpCodeInfo opCode) =>
        opCode.OpCount > 0
        && ((opCode.GetOpKind(0) == OpCodeOperandKind.seg_reg && opCode.Mnemonic == Mnemonic.Mov)
            || (opCode.Mnemonic is Mnemonic.Pop && opCode.GetOpKind(0) is OpCodeOperandKind.fs or OpCodeOperandKind.gs));
}
