using Iced.Intel;

namespace Shinano.Cpu.HostCode;

/// <summary>
/// How one guest instruction's registers and memory map to the host's while its stub runs: the rewritten instruction, and what to load and store around it.
/// </summary>
/// <remarks>
/// Explicit general registers are renamed to r8 to r11, so that rdi (the state), rsi (the operand's address) and rsp (the host's stack) stay free and
/// nothing has to be saved; implicit ones (rax, rcx, rdx of a few instructions) keep their names. Vector and MMX registers keep theirs.
/// </remarks>
internal sealed class RegisterPlan
{
    private static readonly Dictionary<Code, Code> TemporalForms = new()
    {
        // A non-temporal store is weakly ordered, and the guest's fence may be executed by other code than a host fence: store ordinarily.
        [Code.Movntps_m128_xmm] = Code.Movaps_xmmm128_xmm,
        [Code.Movntpd_m128_xmm] = Code.Movapd_xmmm128_xmm,
        [Code.Movntdq_m128_xmm] = Code.Movdqa_xmmm128_xmm,
        [Code.Movntdqa_xmm_m128] = Code.Movdqa_xmm_xmmm128,
        [Code.Movntq_m64_mm] = Code.Movq_mmm64_mm,
        [Code.Movnti_m32_r32] = Code.Mov_rm32_r32,
        [Code.Movnti_m64_r64] = Code.Mov_rm64_r64,
        [Code.VEX_Vmovntps_m128_xmm] = Code.VEX_Vmovaps_xmmm128_xmm,
        [Code.VEX_Vmovntps_m256_ymm] = Code.VEX_Vmovaps_ymmm256_ymm,
        [Code.VEX_Vmovntpd_m128_xmm] = Code.VEX_Vmovapd_xmmm128_xmm,
        [Code.VEX_Vmovntpd_m256_ymm] = Code.VEX_Vmovapd_ymmm256_ymm,
        [Code.VEX_Vmovntdq_m128_xmm] = Code.VEX_Vmovdqa_xmmm128_xmm,
        [Code.VEX_Vmovntdq_m256_ymm] = Code.VEX_Vmovdqa_ymmm256_ymm,
        [Code.VEX_Vmovntdqa_xmm_m128] = Code.VEX_Vmovdqa_xmm_xmmm128,
        [Code.VEX_Vmovntdqa_ymm_m256] = Code.VEX_Vmovdqa_ymm_ymmm256,
    };

    private static readonly Register[] Pool = [Register.R8, Register.R9, Register.R10, Register.R11];

    private readonly List<GeneralMapping> _general = [];

    private RegisterPlan(Instruction rewritten) => Rewritten = rewritten;

    /// <summary>The instruction to execute, its operand at [rsi].</summary>
    public Instruction Rewritten { get; }

    /// <summary>General registers to load before and, when written, store after.</summary>
    public IReadOnlyList<GeneralMapping> General => _general;

    /// <summary>Vector registers to load, by number, and whether all 256 bits count.</summary>
    public SortedDictionary<int, bool> VectorLoads { get; } = [];

    /// <summary>Vector registers to store, by number.</summary>
    public SortedSet<int> VectorStores { get; } = [];

    /// <summary>Arithmetic flags are read or written.</summary>
    public bool UsesFlags { get; private set; }

    /// <summary>The flags before matter: they are read, or some of them stay or become undefined.</summary>
    public bool ReadsFlags { get; private set; }

    /// <summary>Whether any upper half of a vector register may be dirty afterwards.</summary>
    public bool IsVex { get; private set; }

    /// <summary>The ordinary form of a non-temporal move; any other encoding as it is.</summary>
    public static Code TemporalForm(Code code) => TemporalForms.GetValueOrDefault(code, code);

    /// <summary>Plans an admitted instruction.</summary>
    public static bool TryCreate(in Instruction original, out RegisterPlan plan)
    {
        plan = null!;
        Instruction rewritten = new()
        {
            Code = TemporalForm(original.Code),
            CodeSize = CodeSize.Code64,
        };
        Dictionary<Register, Register> renamed = [];
        List<GeneralMapping> general = [];
        for (int i = 0; i < original.OpCount; i++)
        {
            switch (original.GetOpKind(i))
            {
                case OpKind.Memory:
                    rewritten.SetOpKind(i, OpKind.Memory);
                    rewritten.MemoryBase = Register.RSI;
                    rewritten.MemoryIndexScale = 1;
                    break;
                case OpKind.Register:
                    rewritten.SetOpKind(i, OpKind.Register);
                    if (!TryRename(original.GetOpRegister(i), renamed, general, out Register register))
                    {
                        return false;
                    }

                    rewritten.SetOpRegister(i, register);
                    break;
                case OpKind.Immediate8:
                    rewritten.SetOpKind(i, OpKind.Immediate8);
                    rewritten.Immediate8 = original.Immediate8;
                    break;
                default:
                    return false;
            }
        }

        plan = new RegisterPlan(rewritten) { IsVex = original.Code.ToOpCode().Encoding == EncodingKind.VEX };
        plan._general.AddRange(general);
        return plan.AddUses();
    }

    private static bool TryRename(Register register, Dictionary<Register, Register> renamed, List<GeneralMapping> general, out Register result)
    {
        result = register;
        if (!register.IsGPR())
        {
            return register.IsXMM() || register.IsYMM() || register.IsMM() || register.IsST();
        }

        // AH to BH cannot be encoded beside r8: they become a register of their own, loaded from the second byte.
        bool high = register is Register.AH or Register.CH or Register.DH or Register.BH;
        Register key = high ? register : register.GetFullRegister();
        if (!renamed.TryGetValue(key, out Register full))
        {
            if (renamed.Count == Pool.Length)
            {
                return false;
            }

            full = Pool[renamed.Count];
            renamed.Add(key, full);
            general.Add(new GeneralMapping(register.GetFullRegister() - Register.RAX, full, high));
        }

        int number = full - Register.RAX;
        result = register.GetSize() switch
        {
            1 => Register.R8L + (number - 8),
            2 => Register.AX + number,
            4 => Register.EAX + number,
            _ => full,
        };
        return true;
    }

    private bool AddUses()
    {
        Instruction rewritten = Rewritten;
        InstructionInfo info = new InstructionInfoFactory().GetInfo(rewritten);
        foreach (UsedRegister used in info.GetUsedRegisters())
        {
            Register register = used.Register;
            bool writes = used.Access is OpAccess.Write or OpAccess.CondWrite or OpAccess.ReadWrite or OpAccess.ReadCondWrite;
            bool reads = used.Access is not (OpAccess.Write or OpAccess.NoMemAccess or OpAccess.None);
            if (register.IsVectorRegister())
            {
                int number = register.IsXMM() ? register - Register.XMM0 : register.IsYMM() ? register - Register.YMM0 : register - Register.ZMM0;
                if (number > 15)
                {
                    return false;
                }

                // Legacy forms keep what they do not write: load the destination, too, rather than trust that it is written whole.
                if (reads || !IsVex)
                {
                    VectorLoads[number] = VectorLoads.GetValueOrDefault(number) || (IsVex && !register.IsXMM());
                }

                if (writes)
                {
                    VectorStores.Add(number);
                }
            }
            else if (register.IsGPR())
            {
                Register full = register.GetFullRegister();
                int index = _general.FindIndex(g => g.Host == full);
                if (index >= 0)
                {
                    _general[index] = _general[index] with { IsWritten = _general[index].IsWritten || writes };
                    if (writes && _general[index].IsHighByte)
                    {
                        return false;
                    }
                }
                else if (full is Register.RAX or Register.RCX or Register.RDX)
                {
                    _general.Add(new GeneralMapping(full - Register.RAX, full, false) { IsWritten = writes });
                }
                else if (full != Register.RSI || writes)
                {
                    return false;
                }
            }
        }

        const RflagsBits All = RflagsBits.OF | RflagsBits.SF | RflagsBits.ZF | RflagsBits.AF | RflagsBits.CF | RflagsBits.PF;
        UsesFlags = (rewritten.RflagsRead | rewritten.RflagsModified) != RflagsBits.None;
        ReadsFlags = UsesFlags
            && (rewritten.RflagsRead != RflagsBits.None || ((rewritten.RflagsWritten | rewritten.RflagsCleared | rewritten.RflagsSet) & All) != All);
        return true;
    }

    /// <summary>A guest's general register and where it lives meanwhile.</summary>
    /// <param name="Guest">Its number, 0 to 15.</param>
    /// <param name="Host">The host register.</param>
    /// <param name="IsHighByte">Holds the guest's bits 8 to 15 only.</param>
    internal readonly record struct GeneralMapping(int Guest, Register Host, bool IsHighByte)
    {
        /// <summary>Store it back.</summary>
        public bool IsWritten { get; init; }
    }
}
