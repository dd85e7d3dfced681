using Iced.Intel;

namespace Shinano.Cpu.HostCode;

/// <summary>
/// Decides which instructions may become host code: a closed list of feature groups and operand kinds, minus named instructions. Everything that
/// is not admitted here by rule is refused, whatever the guest encodes.
/// </summary>
/// <param name="Code">The encoding.</param>
/// <param name="Unit">The part of the CPU.</param>
/// <param name="Feature">The groups needed.</param>
/// <param name="MemorySize">Bytes of the memory operand, or 0.</param>
/// <param name="ReadsMemory">The operand is read.</param>
/// <param name="WritesMemory">The operand is written.</param>
/// <param name="Alignment">Its alignment, or 1.</param>
/// <param name="UsesMxcsr">Rounds, or raises SSE exceptions (a few that do not are counted in; that only costs time).</param>
internal readonly record struct InstructionPolicy(
    Code Code, HostUnit Unit, CpuFeatures Feature, int MemorySize, bool ReadsMemory, bool WritesMemory, int Alignment, bool UsesMxcsr)
{
    /// <summary>Whether a pending x87 exception is raised before the instruction. SDM 1 §8.3.11.</summary>
    public bool IsWaiting => Unit is HostUnit.Mmx or HostUnit.Wait
        || (Unit == HostUnit.X87 && Code.Mnemonic() is not (Mnemonic.Fninit or Mnemonic.Fnclex or Mnemonic.Fnstcw or Mnemonic.Fnstsw
            or Mnemonic.Fnstenv or Mnemonic.Fnsave or Mnemonic.Fneni or Mnemonic.Fndisi or Mnemonic.Fnsetpm));

    private static readonly Dictionary<CpuidFeature, CpuFeatures> Groups = new()
    {
        [CpuidFeature.FPU] = CpuFeatures.None,
        [CpuidFeature.FPU287] = CpuFeatures.None,
        [CpuidFeature.FPU387] = CpuFeatures.None,
        [CpuidFeature.CMOV] = CpuFeatures.None,
        [CpuidFeature.MMX] = CpuFeatures.None,
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
        [CpuidFeature.BMI1] = CpuFeatures.Bmi1,
        [CpuidFeature.BMI2] = CpuFeatures.Bmi2,
        [CpuidFeature.LZCNT] = CpuFeatures.Lzcnt,
        [CpuidFeature.POPCNT] = CpuFeatures.Popcnt,
        [CpuidFeature.ADX] = CpuFeatures.Adx,
        [CpuidFeature.MOVBE] = CpuFeatures.Movbe,
    };

    private static readonly HashSet<OpCodeOperandKind> OperandKinds =
    [
        OpCodeOperandKind.mem, OpCodeOperandKind.xmm_reg, OpCodeOperandKind.xmm_rm, OpCodeOperandKind.xmm_vvvv, OpCodeOperandKind.xmm_is4,
        OpCodeOperandKind.xmm_or_mem, OpCodeOperandKind.ymm_reg, OpCodeOperandKind.ymm_rm, OpCodeOperandKind.ymm_vvvv, OpCodeOperandKind.ymm_is4,
        OpCodeOperandKind.ymm_or_mem, OpCodeOperandKind.mm_reg, OpCodeOperandKind.mm_rm, OpCodeOperandKind.mm_or_mem, OpCodeOperandKind.r8_or_mem,
        OpCodeOperandKind.r16_reg, OpCodeOperandKind.r16_or_mem, OpCodeOperandKind.r32_reg, OpCodeOperandKind.r32_vvvv, OpCodeOperandKind.r32_or_mem,
        OpCodeOperandKind.r64_reg, OpCodeOperandKind.r64_vvvv, OpCodeOperandKind.r64_or_mem, OpCodeOperandKind.imm8, OpCodeOperandKind.st0,
        OpCodeOperandKind.sti_opcode,
    ];

    // Implicit memory, control of the stub's own environment, or nothing for a stub to do: others execute these.
    private static readonly HashSet<Mnemonic> Refused =
    [
        Mnemonic.Maskmovq, Mnemonic.Maskmovdqu, Mnemonic.Vmaskmovdqu, Mnemonic.Vmaskmovps, Mnemonic.Vmaskmovpd, Mnemonic.Vpmaskmovd,
        Mnemonic.Vpmaskmovq, Mnemonic.Ldmxcsr, Mnemonic.Stmxcsr, Mnemonic.Vldmxcsr, Mnemonic.Vstmxcsr, Mnemonic.Lfence, Mnemonic.Mfence,
        Mnemonic.Sfence, Mnemonic.Prefetchnta, Mnemonic.Prefetcht0, Mnemonic.Prefetcht1, Mnemonic.Prefetcht2,
    ];

    // Encoder-only names for WAIT followed by the form without it: a decoder gives two instructions.
    private static readonly HashSet<Mnemonic> WithWait =
    [
        Mnemonic.Fstenv, Mnemonic.Fstcw, Mnemonic.Feni, Mnemonic.Fdisi, Mnemonic.Fclex, Mnemonic.Finit, Mnemonic.Fsetpm, Mnemonic.Fsave,
        Mnemonic.Fstsw,
    ];

    // SDM 2A §2.4: exception type 4 without alignment, and the moves that are unaligned by name.
    private static readonly HashSet<Mnemonic> UnalignedLegacy =
    [
        Mnemonic.Movups, Mnemonic.Movupd, Mnemonic.Movdqu, Mnemonic.Lddqu, Mnemonic.Pcmpestri, Mnemonic.Pcmpestri64, Mnemonic.Pcmpestrm,
        Mnemonic.Pcmpestrm64, Mnemonic.Pcmpistri, Mnemonic.Pcmpistrm,
    ];

    private static readonly HashSet<Mnemonic> AlignedVex =
    [
        Mnemonic.Vmovaps, Mnemonic.Vmovapd, Mnemonic.Vmovdqa, Mnemonic.Vmovntps, Mnemonic.Vmovntpd, Mnemonic.Vmovntdq, Mnemonic.Vmovntdqa,
    ];

    private static readonly string[] NeverFloating =
    [
        "P", "Mov", "And", "Or", "Xor", "Shuf", "Unpck", "Blend", "Insert", "Extract", "Broadcast", "Aes", "Sha", "Gf2", "Crc", "Test", "Zero",
        "Ldd", "Mpsad",
    ];

    /// <summary>Admits or refuses.</summary>
    public static bool TryClassify(in Instruction instruction, out InstructionPolicy policy)
    {
        policy = default;
        Code code = instruction.Code;
        if (code == Code.Wait)
        {
            policy = new InstructionPolicy(code, HostUnit.Wait, CpuFeatures.None, 0, false, false, 1, false);
            return true;
        }

        OpCodeInfo opCode = code.ToOpCode();
        if (!opCode.IsInstruction || !opCode.Mode64 || opCode.Encoding is not (EncodingKind.Legacy or EncodingKind.VEX))
        {
            return false;
        }

        CpuFeatures feature = CpuFeatures.None;
        foreach (CpuidFeature group in code.CpuidFeatures())
        {
            if (!Groups.TryGetValue(group, out CpuFeatures needed))
            {
                return false;
            }

            feature |= needed;
        }

        Mnemonic mnemonic = code.Mnemonic();
        if (Refused.Contains(mnemonic) || WithWait.Contains(mnemonic) || !ClassifyUnit(instruction, opCode, out HostUnit unit))
        {
            return false;
        }

        int memorySize = 0;
        bool reads = false;
        bool writes = false;
        for (int i = 0; i < opCode.OpCount; i++)
        {
            if (!OperandKinds.Contains(opCode.GetOpKind(i)) && !(unit == HostUnit.X87 && opCode.GetOpKind(i) == OpCodeOperandKind.ax))
            {
                return false;
            }

            if (instruction.GetOpKind(i) == OpKind.Memory)
            {
                memorySize = instruction.MemorySize.GetSize();
                OpAccess access = new InstructionInfoFactory().GetInfo(instruction).GetOpAccess(i);
                reads = access is OpAccess.Read or OpAccess.CondRead or OpAccess.ReadWrite or OpAccess.ReadCondWrite;
                writes = access is OpAccess.Write or OpAccess.CondWrite or OpAccess.ReadWrite or OpAccess.ReadCondWrite;
            }
        }

        int alignment = 1;
        if (unit is HostUnit.Sse or HostUnit.Mmx && memorySize == 16 && !UnalignedLegacy.Contains(mnemonic))
        {
            alignment = 16;
        }
        else if (unit == HostUnit.Avx && memorySize != 0 && AlignedVex.Contains(mnemonic))
        {
            alignment = memorySize;
        }

        policy = new InstructionPolicy(code, unit, feature, memorySize, reads, writes, alignment, MayUseMxcsr(mnemonic, unit));
        return true;
    }

    private static bool ClassifyUnit(in Instruction instruction, OpCodeInfo opCode, out HostUnit unit)
    {
        Code code = instruction.Code;
        bool vector = false;
        bool mmx = false;
        for (int i = 0; i < opCode.OpCount; i++)
        {
            switch (opCode.GetOpKind(i))
            {
                case OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm or OpCodeOperandKind.mm_or_mem:
                    mmx = true;
                    break;
                case OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm or OpCodeOperandKind.xmm_or_mem or OpCodeOperandKind.ymm_reg:
                case OpCodeOperandKind.ymm_rm or OpCodeOperandKind.ymm_or_mem:
                    vector = true;
                    break;
            }
        }

        CpuidFeature first = code.CpuidFeatures()[0];

        // From memory they do not touch MMX state: SDM 2A CVTPI2PD; for CVTPI2PS this is how AMD's CPUs do it.
        if (code is Code.Cvtpi2ps_xmm_mmm64 or Code.Cvtpi2pd_xmm_mmm64 && instruction.Op1Kind == OpKind.Memory)
        {
            mmx = false;
        }

        bool integer = first is CpuidFeature.BMI1 or CpuidFeature.BMI2 or CpuidFeature.LZCNT or CpuidFeature.POPCNT or CpuidFeature.ADX
            or CpuidFeature.MOVBE;
        if (first is CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387)
        {
            unit = HostUnit.X87;
        }
        else if (mmx || code == Code.Emms)
        {
            unit = HostUnit.Mmx;
        }
        else if (vector)
        {
            unit = opCode.Encoding == EncodingKind.VEX ? HostUnit.Avx : HostUnit.Sse;
        }
        else if (code is Code.VEX_Vzeroupper or Code.VEX_Vzeroall)
        {
            unit = HostUnit.Avx;
        }
        else if (integer || code.Mnemonic() is Mnemonic.Crc32 or Mnemonic.Movnti)
        {
            unit = opCode.Encoding == EncodingKind.VEX ? HostUnit.VexInteger : HostUnit.Integer;
        }
        else
        {
            // CMOVcc and whatever else has no business here.
            unit = default;
            return false;
        }

        return true;
    }

    private static bool MayUseMxcsr(Mnemonic mnemonic, HostUnit unit)
    {
        if (unit is not (HostUnit.Sse or HostUnit.Avx))
        {
            return unit == HostUnit.Mmx && mnemonic is Mnemonic.Cvtpi2ps or Mnemonic.Cvtpi2pd or Mnemonic.Cvtps2pi or Mnemonic.Cvtpd2pi
                or Mnemonic.Cvttps2pi or Mnemonic.Cvttpd2pi;
        }

        string name = mnemonic.ToString();
        if (unit == HostUnit.Avx)
        {
            name = string.Concat(name[1..2].ToUpperInvariant(), name.AsSpan(2));
        }

        return !NeverFloating.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal));
    }
}
