using Iced.Intel;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Makes a random instruction of a given encoding: operands, prefixes, addressing.</summary>
internal sealed class InstructionGenerator(CaseRandom random)
{
    private static readonly Register[] LowBytes =
    [
        Register.AL, Register.CL, Register.DL, Register.BL, Register.AH, Register.CH, Register.DH, Register.BH, Register.SPL, Register.BPL,
        Register.SIL, Register.DIL, Register.R8L, Register.R9L, Register.R10L, Register.R11L, Register.R12L, Register.R13L, Register.R14L, Register.R15L,
    ];

    /// <summary>Chance in percent that an operand that may be a register or memory is memory.</summary>
    public int MemoryChance { get; init; } = 50;

    /// <summary>Tries a few times; some combinations of operands have no encoding.</summary>
    public bool TryGenerate(Code code, ulong rip, out Instruction instruction, out byte[] bytes)
    {
        for (int attempt = 0; attempt < 20; attempt++)
        {
            instruction = Build(code);
            using MemoryStream stream = new();
            if (Encoder.Create(64, new StreamCodeWriter(stream)).TryEncode(instruction, rip, out _, out _))
            {
                bytes = stream.ToArray();
                instruction = Decoder.Create(64, bytes, rip).Decode();
                return true;
            }
        }

        instruction = default;
        bytes = [];
        return false;
    }

    private Instruction Build(Code code)
    {
        Instruction instruction = new() { Code = code, CodeSize = CodeSize.Code64 };
        OpCodeInfo opCode = code.ToOpCode();
        bool narrow = random.Percent(5);
        bool memory = false;
        for (int i = 0; i < opCode.OpCount; i++)
        {
            memory |= AddOperand(ref instruction, i, opCode.GetOpKind(i), narrow);
        }

        if (memory)
        {
            if (random.Percent(15))
            {
                instruction.SegmentPrefix = random.Percent(80)
                    ? random.Pick([Register.FS, Register.GS])
                    : random.Pick([Register.ES, Register.CS, Register.SS, Register.DS]);
            }

            if (opCode.CanUseLockPrefix && instruction.Op0Kind == OpKind.Memory && random.Percent(30))
            {
                instruction.HasLockPrefix = true;
            }
        }

        if (opCode.CanUseRepPrefix && random.Percent(50))
        {
            instruction.HasRepPrefix = true;
        }
        else if (opCode.CanUseRepnePrefix && random.Percent(50))
        {
            instruction.HasRepnePrefix = true;
        }

        return instruction;
    }

    // Returns whether the operand is memory.
    private bool AddOperand(ref Instruction instruction, int index, OpCodeOperandKind kind, bool narrow)
    {
        switch (kind)
        {
            case OpCodeOperandKind.mem:
                AddMemory(ref instruction, index, narrow);
                return true;
            case OpCodeOperandKind.mem_vsib32x or OpCodeOperandKind.mem_vsib64x:
                AddMemory(ref instruction, index, narrow);
                instruction.MemoryIndex = Register.XMM0 + random.Below(16);
                return true;
            case OpCodeOperandKind.mem_vsib32y or OpCodeOperandKind.mem_vsib64y:
                AddMemory(ref instruction, index, narrow);
                instruction.MemoryIndex = Register.YMM0 + random.Below(16);
                return true;
            case OpCodeOperandKind.mem_offs:
                instruction.SetOpKind(index, OpKind.Memory);
                instruction.MemoryDisplSize = 8;
                instruction.MemoryDisplacement64 = MachineCase.DataBase + (ulong)random.Below(2 * MachineCase.PageSize);
                return true;
            case OpCodeOperandKind.seg_rBX_al:
                instruction.SetOpKind(index, OpKind.Memory);
                instruction.MemoryBase = narrow ? Register.EBX : Register.RBX;
                instruction.MemoryIndex = Register.AL;
                return true;
            case OpCodeOperandKind.es_rDI:
                instruction.SetOpKind(index, narrow ? OpKind.MemoryESEDI : OpKind.MemoryESRDI);
                return false;
            case OpCodeOperandKind.seg_rDI:
                instruction.SetOpKind(index, narrow ? OpKind.MemorySegEDI : OpKind.MemorySegRDI);
                return true;
            case OpCodeOperandKind.seg_rSI:
                instruction.SetOpKind(index, narrow ? OpKind.MemorySegESI : OpKind.MemorySegRSI);
                return true;
            case OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.r64_or_mem:
            case OpCodeOperandKind.xmm_or_mem or OpCodeOperandKind.ymm_or_mem or OpCodeOperandKind.mm_or_mem:
                if (random.Percent(MemoryChance))
                {
                    AddMemory(ref instruction, index, narrow);
                    return true;
                }

                break;
        }

        Register register = RegisterOf(kind);
        if (register != Register.None)
        {
            instruction.SetOpKind(index, OpKind.Register);
            instruction.SetOpRegister(index, register);
        }
        else
        {
            AddImmediate(ref instruction, index, kind);
        }

        return false;
    }

    private Register RegisterOf(OpCodeOperandKind kind) => kind switch
    {
        OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode => random.Pick(LowBytes),
        OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r16_reg or OpCodeOperandKind.r16_opcode or OpCodeOperandKind.r16_rm
            => Register.AX + random.Below(16),
        OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.r32_reg or OpCodeOperandKind.r32_opcode or OpCodeOperandKind.r32_vvvv
            or OpCodeOperandKind.r32_rm
            => Register.EAX + random.Below(16),
        OpCodeOperandKind.r64_or_mem or OpCodeOperandKind.r64_reg or OpCodeOperandKind.r64_opcode or OpCodeOperandKind.r64_vvvv
            or OpCodeOperandKind.r64_rm => Register.RAX + random.Below(16),
        OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm or OpCodeOperandKind.xmm_vvvv or OpCodeOperandKind.xmm_is4
            or OpCodeOperandKind.xmm_or_mem => Register.XMM0 + random.Below(16),
        OpCodeOperandKind.ymm_reg or OpCodeOperandKind.ymm_rm or OpCodeOperandKind.ymm_vvvv or OpCodeOperandKind.ymm_is4
            or OpCodeOperandKind.ymm_or_mem => Register.YMM0 + random.Below(16),
        OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm or OpCodeOperandKind.mm_or_mem => Register.MM0 + random.Below(8),
        OpCodeOperandKind.sti_opcode => Register.ST0 + random.Below(8),
        OpCodeOperandKind.st0 => Register.ST0,
        OpCodeOperandKind.al => Register.AL,
        OpCodeOperandKind.cl => Register.CL,
        OpCodeOperandKind.ax => Register.AX,
        OpCodeOperandKind.dx => Register.DX,
        OpCodeOperandKind.eax => Register.EAX,
        OpCodeOperandKind.rax => Register.RAX,
        OpCodeOperandKind.seg_reg => random.Pick([Register.ES, Register.CS, Register.SS, Register.DS, Register.FS, Register.GS]),
        OpCodeOperandKind.fs => Register.FS,
        OpCodeOperandKind.gs => Register.GS,
        OpCodeOperandKind.cr_reg => random.Pick([Register.CR0, Register.CR2, Register.CR3, Register.CR4, Register.CR8]),
        OpCodeOperandKind.dr_reg => random.Pick([Register.DR0, Register.DR3, Register.DR6, Register.DR7]),
        _ => Register.None,
    };

    private void AddImmediate(ref Instruction instruction, int index, OpCodeOperandKind kind)
    {
        ulong value = random.Integer();
        switch (kind)
        {
            case OpCodeOperandKind.imm8_const_1:
                instruction.SetOpKind(index, OpKind.Immediate8);
                instruction.Immediate8 = 1;
                break;
            case OpCodeOperandKind.imm8:
                if (index > 0 && instruction.GetOpKind(index - 1) == OpKind.Immediate16)
                {
                    // ENTER: size and nesting level.
                    instruction.SetOpKind(index, OpKind.Immediate8_2nd);
                    instruction.Immediate8_2nd = (byte)value;
                    instruction.Immediate16 &= 0xFFF;
                    break;
                }

                instruction.SetOpKind(index, OpKind.Immediate8);
                instruction.Immediate8 = (byte)value;
                break;
            case OpCodeOperandKind.imm8sex16:
                instruction.SetOpKind(index, OpKind.Immediate8to16);
                instruction.Immediate8to16 = (sbyte)value;
                break;
            case OpCodeOperandKind.imm8sex32:
                instruction.SetOpKind(index, OpKind.Immediate8to32);
                instruction.Immediate8to32 = (sbyte)value;
                break;
            case OpCodeOperandKind.imm8sex64:
                instruction.SetOpKind(index, OpKind.Immediate8to64);
                instruction.Immediate8to64 = (sbyte)value;
                break;
            case OpCodeOperandKind.imm16:
                instruction.SetOpKind(index, OpKind.Immediate16);
                instruction.Immediate16 = (ushort)value;
                break;
            case OpCodeOperandKind.imm32:
                instruction.SetOpKind(index, OpKind.Immediate32);
                instruction.Immediate32 = (uint)value;
                break;
            case OpCodeOperandKind.imm32sex64:
                instruction.SetOpKind(index, OpKind.Immediate32to64);
                instruction.Immediate32to64 = (int)value;
                break;
            case OpCodeOperandKind.imm64:
                instruction.SetOpKind(index, OpKind.Immediate64);
                instruction.Immediate64 = value;
                break;
            case OpCodeOperandKind.br16_1 or OpCodeOperandKind.br16_2 or OpCodeOperandKind.br32_1 or OpCodeOperandKind.br32_4
                or OpCodeOperandKind.br64_1 or OpCodeOperandKind.br64_4:
                instruction.SetOpKind(index, OpKind.NearBranch64);
                instruction.NearBranch64 = MachineCase.CodeBase + (ulong)random.Below(100);
                if (kind is OpCodeOperandKind.br64_4 && random.Percent(20))
                {
                    instruction.NearBranch64 = random.Next() & 0x3FFFFFFF;
                }

                break;
            default:
                throw new NotSupportedException($"operand kind {kind}");
        }
    }

    private void AddMemory(ref Instruction instruction, int index, bool narrow)
    {
        Register first = narrow ? Register.EAX : Register.RAX;
        instruction.SetOpKind(index, OpKind.Memory);
        instruction.MemoryIndexScale = 1;
        if (random.Percent(8))
        {
            // RIP-relative, or an absolute 32-bit address.
            ulong target = MachineCase.DataBase + (ulong)random.Below(2 * MachineCase.PageSize);
            instruction.MemoryDisplacement64 = target;
            if (random.Percent(60))
            {
                instruction.MemoryBase = narrow ? Register.EIP : Register.RIP;
                instruction.MemoryDisplSize = narrow ? 4 : 8;
            }
            else
            {
                instruction.MemoryDisplSize = narrow ? 4 : 8;
            }

            return;
        }

        instruction.MemoryBase = first + random.Below(16);
        if (random.Percent(40))
        {
            int number = random.Below(16);
            if (number != 4)
            {
                instruction.MemoryIndex = first + number;
                instruction.MemoryIndexScale = 1 << random.Below(4);
            }
        }

        switch (random.Below(3))
        {
            case 0:
                instruction.MemoryDisplacement64 = (ulong)(sbyte)random.Next();
                instruction.MemoryDisplSize = 1;
                break;
            case 1:
                instruction.MemoryDisplacement64 = narrow ? (uint)random.Next() : (ulong)(int)random.Integer();
                instruction.MemoryDisplSize = narrow ? 4 : 8;
                break;
        }

        if (narrow)
        {
            instruction.MemoryDisplacement64 = (uint)instruction.MemoryDisplacement64;
        }
    }
}
