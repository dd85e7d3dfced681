using Iced.Intel;
using Shinano.Cpu.HostCode;
using Shinano.Cpu.Interpreter;

namespace Shinano.Cpu.Translator;

/// <summary>
/// Decides how an instruction is translated. What becomes host code is a closed list: named integer instructions, and the vector and bit-manipulation groups that
/// <see cref="InstructionPolicy"/> admits. Everything else is the interpreter's.
/// </summary>
/// <param name="features">What the domain's CPU has.</param>
internal sealed class InstructionClassifier(CpuFeatures features)
{
    private static readonly HashSet<Mnemonic> Integer =
    [
        Mnemonic.Mov, Mnemonic.Movzx, Mnemonic.Movsx, Mnemonic.Movsxd, Mnemonic.Add, Mnemonic.Adc, Mnemonic.Sub, Mnemonic.Sbb, Mnemonic.And, Mnemonic.Or,
        Mnemonic.Xor, Mnemonic.Cmp, Mnemonic.Test, Mnemonic.Inc, Mnemonic.Dec, Mnemonic.Neg, Mnemonic.Not, Mnemonic.Shl, Mnemonic.Shr, Mnemonic.Sar,
        Mnemonic.Sal, Mnemonic.Rol, Mnemonic.Ror, Mnemonic.Rcl, Mnemonic.Rcr, Mnemonic.Shld, Mnemonic.Shrd, Mnemonic.Bt, Mnemonic.Bts, Mnemonic.Btr,
        Mnemonic.Btc, Mnemonic.Bsf, Mnemonic.Bsr, Mnemonic.Bswap, Mnemonic.Imul, Mnemonic.Mul, Mnemonic.Xchg, Mnemonic.Xadd, Mnemonic.Cmpxchg, Mnemonic.Cbw,
        Mnemonic.Cwde, Mnemonic.Cdqe, Mnemonic.Cwd, Mnemonic.Cdq, Mnemonic.Cqo, Mnemonic.Cmc, Mnemonic.Clc, Mnemonic.Stc, Mnemonic.Lahf, Mnemonic.Sahf,
        Mnemonic.Cmova, Mnemonic.Cmovae, Mnemonic.Cmovb, Mnemonic.Cmovbe, Mnemonic.Cmove, Mnemonic.Cmovg, Mnemonic.Cmovge, Mnemonic.Cmovl, Mnemonic.Cmovle,
        Mnemonic.Cmovne, Mnemonic.Cmovno, Mnemonic.Cmovnp, Mnemonic.Cmovns, Mnemonic.Cmovo, Mnemonic.Cmovp, Mnemonic.Cmovs, Mnemonic.Seta, Mnemonic.Setae,
        Mnemonic.Setb, Mnemonic.Setbe, Mnemonic.Sete, Mnemonic.Setg, Mnemonic.Setge, Mnemonic.Setl, Mnemonic.Setle, Mnemonic.Setne, Mnemonic.Setno,
        Mnemonic.Setnp, Mnemonic.Setns, Mnemonic.Seto, Mnemonic.Setp, Mnemonic.Sets,
    ];

    private static readonly HashSet<Mnemonic> EcxWriters =
    [
        Mnemonic.Pcmpestri, Mnemonic.Pcmpestri64, Mnemonic.Pcmpistri, Mnemonic.Vpcmpestri, Mnemonic.Vpcmpestri64, Mnemonic.Vpcmpistri,
    ];

    private static readonly HashSet<Code> AbsoluteMoves =
    [
        Code.Mov_AL_moffs8, Code.Mov_AX_moffs16, Code.Mov_EAX_moffs32, Code.Mov_RAX_moffs64, Code.Mov_moffs8_AL, Code.Mov_moffs16_AX, Code.Mov_moffs32_EAX,
        Code.Mov_moffs64_RAX,
    ];

    private readonly Dictionary<int, InstructionPolicy?> _policies = [];

    /// <summary>Describes a decoded instruction.</summary>
    public GuestInstruction Classify(in Instruction code)
    {
        GuestInstruction result = new() { Code = code, Alignment = 1 };
        if (code.IsInvalid)
        {
            return result;
        }

        result.Kind = KindOf(code, ref result);
        if (result.Kind == InstructionKind.TimeStamp)
        {
            // They keep all flags, but their translation does not.
            result.FlagsRead = ArithmeticFlag.None;
            return result;
        }

        if (result.Kind == InstructionKind.Plain && !RegisterRenaming.TryPlan(code, result.CountInCl, result.HasMemory, out _))
        {
            result.Kind = InstructionKind.Foreign;
        }

        // What SYSCALL does to the flags is the hypervisor's business.
        if (result.Kind is not (InstructionKind.Foreign or InstructionKind.Syscall))
        {
            result.FlagsRead = FlagsOf(code.RflagsRead);
            result.FlagsModified = FlagsOf(code.RflagsModified);
            result.FlagsReplaced = MayKeepFlags(code) ? ArithmeticFlag.None : result.FlagsModified;
        }

        return result;
    }

    private InstructionKind KindOf(in Instruction code, ref GuestInstruction result)
    {
        switch (code.FlowControl)
        {
            case FlowControl.ConditionalBranch:
                return code.IsJccShortOrNear ? InstructionKind.JumpIf : InstructionKind.Foreign;
            case FlowControl.UnconditionalBranch:
                return code.IsJmpShortOrNear ? InstructionKind.Jump : InstructionKind.Foreign;
            case FlowControl.Call when code.Mnemonic == Mnemonic.Call:
                return code.IsCallNear ? InstructionKind.Call : InstructionKind.Foreign;
            case FlowControl.Return:
                return code.Code == Code.Retnq ? InstructionKind.Return : InstructionKind.Foreign;
            case FlowControl.IndirectBranch when code.Code == Code.Jmp_rm64:
                return Operands(code, ref result, 8, false) ? InstructionKind.JumpIndirect : InstructionKind.Foreign;
            case FlowControl.IndirectCall when code.Code == Code.Call_rm64:
                return Operands(code, ref result, 8, false) ? InstructionKind.CallIndirect : InstructionKind.Foreign;
            case FlowControl.Next:
                break;
            default:
                return code.Code == Code.Syscall ? InstructionKind.Syscall : InstructionKind.Foreign;
        }

        if (RepeatEmitter.IsRepeated(code))
        {
            return InstructionKind.Repeat;
        }

        switch (code.Mnemonic)
        {
            case Mnemonic.Nop or Mnemonic.Endbr64 or Mnemonic.Prefetchnta or Mnemonic.Prefetcht0 or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2
                or Mnemonic.Prefetchw:
                return InstructionKind.Nothing;
            case Mnemonic.Lfence or Mnemonic.Mfence or Mnemonic.Sfence:
                return InstructionKind.Plain;
            case Mnemonic.Rdtsc or Mnemonic.Rdtscp:
                return InstructionKind.TimeStamp;
            case Mnemonic.Cmpxchg16b:
                result.Alignment = 16;
                return Operands(code, ref result, 16, true) ? InstructionKind.CompareExchange16 : InstructionKind.Foreign;
            case Mnemonic.Lea:
                return code.MemorySegmentPlain() && code.Code != Code.Lea_r16_m ? InstructionKind.LoadAddress : InstructionKind.Foreign;
            case Mnemonic.Push:
                return code.Code is Code.Push_r64 or Code.Pushq_imm8 or Code.Pushq_imm32 ? InstructionKind.Push
                    : code.Code == Code.Push_rm64 && Operands(code, ref result, 8, false) ? InstructionKind.Push : InstructionKind.Foreign;
            case Mnemonic.Pop:
                return code.Code is Code.Pop_r64 && code.Op0Register != Register.RSP ? InstructionKind.Pop : InstructionKind.Foreign;
            case Mnemonic.Leave:
                return code.Code == Code.Leaveq ? InstructionKind.Leave : InstructionKind.Foreign;
            case Mnemonic.Div or Mnemonic.Idiv:
                // 8-bit forms take AX, whose high byte cannot be renamed.
                return code.Code is Code.Div_rm32 or Code.Div_rm64 or Code.Idiv_rm32 or Code.Idiv_rm64
                    && Operands(code, ref result, code.Code is Code.Div_rm32 or Code.Idiv_rm32 ? 4 : 8, false)
                    ? InstructionKind.Divide : InstructionKind.Foreign;
        }

        if (code.Code is Code.Mov_r32m16_Sreg or Code.Mov_r64m16_Sreg && code.Op0Kind == OpKind.Register)
        {
            return InstructionKind.ReadSelector;
        }

        return Integer.Contains(code.Mnemonic) ? IntegerKind(code, ref result) : VectorKind(code, ref result);
    }

    private static InstructionKind IntegerKind(in Instruction code, ref GuestInstruction result)
    {
        // MOVSXD to 16 bits has a source of 16 bits, but AMD's CPUs read 32: two bytes that nobody checked.
        if (AbsoluteMoves.Contains(code.Code) || code.Code == Code.Movsxd_r16_rm16 || code.Code.Encoding() != EncodingKind.Legacy)
        {
            return InstructionKind.Foreign;
        }

        bool tests = code.Mnemonic is Mnemonic.Cmp or Mnemonic.Test or Mnemonic.Bt;
        bool exchanges = code.Mnemonic is Mnemonic.Xchg or Mnemonic.Xadd or Mnemonic.Cmpxchg;
        if (code.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && code.Op0Kind == OpKind.Memory && code.Op1Kind == OpKind.Register)
        {
            int size = code.Op1Register.GetSize();
            return size >= 4 && Operands(code, ref result, size, !tests) ? InstructionKind.BitInMemory : InstructionKind.Foreign;
        }

        result.CountInCl = IsCount(code);
        bool writes = (code.Op0Kind == OpKind.Memory && !tests && code.Mnemonic is not (Mnemonic.Mul or Mnemonic.Imul)) || exchanges;
        return Operands(code, ref result, code.MemorySize.GetSize(), writes) ? InstructionKind.Plain : InstructionKind.Foreign;
    }

    private InstructionKind VectorKind(in Instruction code, ref GuestInstruction result)
    {
        int key = ((int)code.Code << 1) | (code.HasMemoryOperand() ? 1 : 0);
        if (!_policies.TryGetValue(key, out InstructionPolicy? known))
        {
            known = InstructionPolicy.TryClassify(code, out InstructionPolicy made) ? made : null;
            _policies.Add(key, known);
        }

        if (known is not { } policy
            || (policy.Feature & ~features) != 0
            || policy.Unit is not (HostUnit.Sse or HostUnit.Avx or HostUnit.Integer or HostUnit.VexInteger)
            || (InstructionFeatures.Of(code) & ~features) != 0
            || !Operands(code, ref result, policy.MemorySize, policy.WritesMemory))
        {
            return InstructionKind.Foreign;
        }

        result.Alignment = policy.Alignment;
        result.WritesEcx = EcxWriters.Contains(code.Mnemonic);
        result.IsVector = policy.Unit is HostUnit.Sse or HostUnit.Avx;
        result.IsVex = policy.Unit == HostUnit.Avx;
        return InstructionKind.Plain;
    }

    /// <summary>Looks at the explicit operands.</summary>
    /// <returns>False when one is of a kind that is not translated.</returns>
    private static bool Operands(in Instruction code, ref GuestInstruction result, int memorySize, bool writes)
    {
        for (int i = 0; i < code.OpCount; i++)
        {
            switch (code.GetOpKind(i))
            {
                case OpKind.Register:
                    Register register = code.GetOpRegister(i);
                    if (!register.IsGPR() && !register.IsXMM() && !register.IsYMM())
                    {
                        return false;
                    }

                    break;
                case OpKind.Memory:
                    if (memorySize is < 1 or > 32 || !code.MemorySegmentPlain())
                    {
                        return false;
                    }

                    result.MemorySize = memorySize;
                    result.WritesMemory = writes;
                    break;
                case OpKind.Immediate8 or OpKind.Immediate16 or OpKind.Immediate32 or OpKind.Immediate64 or OpKind.Immediate8to16 or OpKind.Immediate8to32
                    or OpKind.Immediate8to64 or OpKind.Immediate32to64:
                    break;
                default:
                    return false;
            }
        }

        return true;
    }

    private static bool IsShift(Mnemonic mnemonic) =>
        mnemonic is Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Sal or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr or Mnemonic.Shld
            or Mnemonic.Shrd;

    private static bool IsCount(in Instruction code) =>
        IsShift(code.Mnemonic) && code.GetOpKind(code.OpCount - 1) == OpKind.Register && code.GetOpRegister(code.OpCount - 1) == Register.CL;

    /// <summary>Whether the flags may stay as they were: a shift by a count of 0.</summary>
    private static bool MayKeepFlags(in Instruction code)
    {
        if (!IsShift(code.Mnemonic))
        {
            return false;
        }

        if (IsCount(code))
        {
            return true;
        }

        int last = code.OpCount - 1;
        return code.GetOpKind(last) == OpKind.Immediate8 && (code.GetImmediate(last) & 31) == 0;
    }

    private static ArithmeticFlag FlagsOf(RflagsBits bits) =>
        ((bits & RflagsBits.CF) != 0 ? ArithmeticFlag.Carry : 0)
        | ((bits & RflagsBits.PF) != 0 ? ArithmeticFlag.Parity : 0)
        | ((bits & RflagsBits.AF) != 0 ? ArithmeticFlag.Adjust : 0)
        | ((bits & RflagsBits.ZF) != 0 ? ArithmeticFlag.Zero : 0)
        | ((bits & RflagsBits.SF) != 0 ? ArithmeticFlag.Sign : 0)
        | ((bits & RflagsBits.OF) != 0 ? ArithmeticFlag.Overflow : 0);
}
