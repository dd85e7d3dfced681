using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.HostCode;

/// <summary>Emits the code around one instruction. docs/design/host-code.md draws the sequences.</summary>
/// <remarks>
/// Called as <c>uint stub(CpuState* rdi, byte* rsi, ulong rdx)</c> in the System V convention; a leaf, using caller-saved registers only.
/// Frame: [rsp] host MXCSR, [rsp+4] work MXCSR, [rsp+8] FIP, [rsp+16] FDP, [rsp+24] FOP, [rsp+28] flags of the first attempt, [rsp+32] the operand's
/// offset, [rsp+48..80) flags, or a memory result that an SSE exception may still cancel.
/// </remarks>
internal sealed class StubEmitter
{
    private const int FrameSize = 88;
    private const int HostMxcsr = 0;
    private const int WorkMxcsr = 4;
    private const int SavedInstructionPointer = 8;
    private const int SavedDataPointer = 16;
    private const int SavedOpcode = 24;
    private const int FirstAttempt = 28;
    private const int SavedOffset = 32;
    private const int MemoryResult = 48;

    private const int ArithmeticFlags = 0x8D5;
    private const int MxcsrDefault = 0x1F80;

    private readonly Assembler _asm = new(64);
    private readonly InstructionPolicy _policy;
    private readonly RegisterPlan _plan;
    private readonly bool _fxsave;

    private StubEmitter(in InstructionPolicy policy, RegisterPlan plan)
    {
        _policy = policy;
        _plan = plan;
        _fxsave = policy.Unit is HostUnit.X87 or HostUnit.Mmx;
    }

    private bool UsesFrame => _fxsave || _policy.UsesMxcsr || _plan.UsesFlags;

    /// <summary>The stub's bytes, position-independent.</summary>
    public static byte[] Emit(in InstructionPolicy policy, RegisterPlan plan)
    {
        StubEmitter emitter = new(policy, plan);
        emitter.EmitAll();
        using MemoryStream stream = new();
        emitter._asm.Assemble(new StreamCodeWriter(stream), 0);
        return stream.ToArray();
    }

    private void EmitAll()
    {
        if (UsesFrame)
        {
            _asm.sub(rsp, FrameSize);
        }

        if (_fxsave)
        {
            EmitPendingCheck();
        }

        EmitAlignmentCheck();

        if (_fxsave)
        {
            EmitLegacyRegion();
        }
        else if (_policy.UsesMxcsr)
        {
            EmitFloating();
        }
        else
        {
            EmitLoads();
            EmitInstruction(_plan.Rewritten);
            EmitFlagCapture();
            EmitStores();
        }

        EmitReturn(HostStatus.Done);
    }

    private void EmitAlignmentCheck()
    {
        if (_policy.Alignment > 1)
        {
            Label aligned = _asm.CreateLabel();
            _asm.test(sil, (byte)(_policy.Alignment - 1));
            _asm.je(aligned);
            EmitReturn(HostStatus.Misaligned);
            _asm.Label(ref aligned);
        }
    }

    // Outside of a stub the host's MXCSR always has default control bits. When the guest's are the same, which is nearly always, the instruction runs on
    // the guest's whole MXCSR: no exception can result, the flags it leaves are the guest's, and they may stay in the host's register, where nobody asks
    // for them and the next stub finds them right.
    private void EmitFloating()
    {
        Label general = _asm.CreateLabel();
        Label done = _asm.CreateLabel();
        bool memoryResult = _policy.WritesMemory;
        if (!memoryResult)
        {
            _asm.mov(eax, __dword_ptr[rdi + StateLayout.Mxcsr]);
            _asm.stmxcsr(__dword_ptr[rsp + HostMxcsr]);
            Label same = _asm.CreateLabel();
            _asm.xor(eax, __dword_ptr[rsp + HostMxcsr]);
            _asm.je(same);
            _asm.test(eax, ~0x3F);
            _asm.jne(general);
            _asm.ldmxcsr(__dword_ptr[rdi + StateLayout.Mxcsr]);
            _asm.Label(ref same);
            EmitLoads();
            EmitInstruction(_plan.Rewritten);
            EmitFlagCapture();
            EmitStores();
            _asm.stmxcsr(__dword_ptr[rdi + StateLayout.Mxcsr]);
            _asm.jmp(done);
            _asm.Label(ref general);
        }
        else
        {
            _asm.stmxcsr(__dword_ptr[rsp + HostMxcsr]);
        }

        Label attempt = EmitGuestMxcsr();
        EmitLoads();
        if (memoryResult)
        {
            Instruction redirected = _plan.Rewritten;
            redirected.MemoryBase = Register.RSP;
            redirected.MemoryDisplacement64 = MemoryResult;
            redirected.MemoryDisplSize = 8;
            EmitInstruction(redirected);
        }
        else
        {
            EmitInstruction(_plan.Rewritten);
        }

        EmitFlagCapture();
        EmitMxcsrVerdict(attempt);
        if (memoryResult)
        {
            for (int i = 0; i < _policy.MemorySize; i += 8)
            {
                _asm.mov(rax, __qword_ptr[rsp + MemoryResult + i]);
                _asm.mov(__qword_ptr[rsi + i], rax);
            }
        }

        EmitStores();
        _asm.Label(ref done);
    }

    // Loads the guest's rounding, FZ and DAZ with everything masked and no flag set. With UM clear FZ is set as well: it makes every tiny result, the exact
    // ones too, set UE, which is when the unmasked exception is due (SDM 1 §11.5.2.4, 4.9.1.5). FZ has no other effect then (§10.2.3.3).
    private Label EmitGuestMxcsr()
    {
        Label masked = _asm.CreateLabel();
        _asm.mov(eax, __dword_ptr[rdi + StateLayout.Mxcsr]);
        _asm.mov(ecx, eax);
        _asm.and(eax, 0xE040);
        _asm.or(eax, MxcsrDefault);
        _asm.test(ecx, 0x800);
        _asm.jne(masked);
        _asm.or(eax, 0x8000);
        _asm.Label(ref masked);
        _asm.mov(__dword_ptr[rsp + WorkMxcsr], eax);
        _asm.mov(__dword_ptr[rsp + FirstAttempt], 0);
        Label attempt = _asm.CreateLabel();
        _asm.Label(ref attempt);
        _asm.ldmxcsr(__dword_ptr[rsp + WorkMxcsr]);
        if (_fxsave)
        {
            _asm.fxrstor64(__[rdi + StateLayout.Xsave]);
            _asm.ldmxcsr(__dword_ptr[rsp + WorkMxcsr]);
        }

        return attempt;
    }

    // Restores the host's MXCSR and either accounts for the new flags or leaves with #XM.
    private void EmitMxcsrVerdict(Label attempt)
    {
        Label accepted = _asm.CreateLabel();
        Label all = _asm.CreateLabel();
        Label second = _asm.CreateLabel();
        Label raise = _asm.CreateLabel();
        _asm.stmxcsr(__dword_ptr[rsp + WorkMxcsr]);
        _asm.ldmxcsr(__dword_ptr[rsp + HostMxcsr]);
        _asm.mov(eax, __dword_ptr[rsp + WorkMxcsr]);
        _asm.and(eax, 0x3F);
        _asm.cmp(__dword_ptr[rsp + FirstAttempt], 0);
        _asm.jne(second);
        _asm.mov(ecx, __dword_ptr[rdi + StateLayout.Mxcsr]);
        _asm.not(ecx);
        _asm.shr(ecx, 7);
        _asm.and(ecx, eax);
        _asm.je(accepted);

        // An unmasked invalid, denormal or zero-divide exception is found before the computation: the flags of the result stay as they are.
        _asm.test(ecx, 7);
        _asm.je(all);
        _asm.and(eax, 7);
        _asm.jmp(raise);

        // FZ makes every tiny result inexact: whether it was shows an attempt without (but for a result that only its denormalisation makes inexact).
        _asm.Label(ref all);
        _asm.test(ecx, 0x10);
        _asm.je(raise);
        _asm.and(eax, 0x1F);
        _asm.mov(__dword_ptr[rsp + FirstAttempt], eax);
        _asm.mov(eax, __dword_ptr[rsp + WorkMxcsr]);
        _asm.and(eax, 0x7FC0);
        _asm.mov(__dword_ptr[rsp + WorkMxcsr], eax);
        _asm.jmp(attempt);
        _asm.Label(ref second);
        _asm.and(eax, 0x20);
        _asm.or(eax, __dword_ptr[rsp + FirstAttempt]);
        _asm.Label(ref raise);
        _asm.or(__dword_ptr[rdi + StateLayout.Mxcsr], eax);
        if (_fxsave)
        {
            // The switch to MMX mode has happened all the same: top of stack 0, every register valid.
            _asm.fxrstor64(__[rdi + StateLayout.Xsave]);
            _asm.movq(__qword_ptr[rsp + MemoryResult], mm0);
            EmitLegacyRegionEnd();
        }

        EmitReturn(HostStatus.SimdException);
        _asm.Label(ref accepted);
        _asm.or(__dword_ptr[rdi + StateLayout.Mxcsr], eax);
    }

    private void EmitPendingCheck()
    {
        Label clear = _asm.CreateLabel();
        _asm.movzx(eax, __word_ptr[rdi + StateLayout.X87Control]);
        _asm.movzx(ecx, __word_ptr[rdi + StateLayout.X87Status]);
        _asm.not(eax);
        _asm.and(eax, ecx);
        _asm.test(al, 0x3F);
        _asm.je(clear);
        EmitReturn(HostStatus.X87Pending);
        _asm.Label(ref clear);
    }

    // x87 and MMX run on the whole legacy region. The guest's own control word is in force: an x87 exception does not fault before the next waiting
    // instruction, and there is none between here and FNINIT.
    private void EmitLegacyRegion()
    {
        // ES and B without a cause, and reserved bits of MXCSR, could fault the host.
        _asm.and(__word_ptr[rdi + StateLayout.X87Status], 0x7F7F);
        _asm.and(__dword_ptr[rdi + StateLayout.Mxcsr], 0xFFFF);
        _asm.stmxcsr(__dword_ptr[rsp + HostMxcsr]);
        _asm.mov(rax, __qword_ptr[rdi + StateLayout.X87InstructionPointer]);
        _asm.mov(__qword_ptr[rsp + SavedInstructionPointer], rax);
        _asm.mov(rax, __qword_ptr[rdi + StateLayout.X87DataPointer]);
        _asm.mov(__qword_ptr[rsp + SavedDataPointer], rax);
        _asm.movzx(eax, __word_ptr[rdi + StateLayout.X87Opcode]);
        _asm.mov(__dword_ptr[rsp + SavedOpcode], eax);
        _asm.mov(__qword_ptr[rsp + SavedOffset], rdx);
        Label attempt = default;
        if (_policy.UsesMxcsr)
        {
            attempt = EmitGuestMxcsr();
        }
        else
        {
            _asm.fxrstor64(__[rdi + StateLayout.Xsave]);
        }

        EmitGeneralLoads();
        EmitInstruction(_plan.Rewritten);
        EmitFlagCapture();
        if (_policy.UsesMxcsr)
        {
            EmitMxcsrVerdict(attempt);
        }

        EmitLegacyRegionEnd();
        EmitGeneralStores();
        _asm.or(__byte_ptr[rdi + StateLayout.XstateBv], (byte)(_plan.VectorStores.Count != 0 ? 3 : 1));
    }

    private void EmitLegacyRegionEnd()
    {
        _asm.mov(ecx, __dword_ptr[rdi + StateLayout.Mxcsr]);
        _asm.fxsave64(__[rdi + StateLayout.Xsave]);
        _asm.fninit();
        _asm.ldmxcsr(__dword_ptr[rsp + HostMxcsr]);
        _asm.mov(__dword_ptr[rdi + StateLayout.Mxcsr], ecx);
        _asm.mov(__dword_ptr[rdi + StateLayout.MxcsrMask], 0xFFFF);
        EmitX87Pointers();
    }

    // FXSAVE stored the host's instruction and data pointers, if any. An x87 instruction leaves its own (what it has not got stays), MMX the old ones.
    private void EmitX87Pointers()
    {
        bool own = _policy.Unit == HostUnit.X87;
        if (own)
        {
            _asm.mov(rax, __qword_ptr[rdi + StateLayout.Rip]);
            _asm.mov(ecx, X87Opcode());
        }
        else
        {
            _asm.mov(rax, __qword_ptr[rsp + SavedInstructionPointer]);
            _asm.mov(ecx, __dword_ptr[rsp + SavedOpcode]);
        }

        _asm.mov(__qword_ptr[rdi + StateLayout.X87InstructionPointer], rax);
        _asm.mov(__word_ptr[rdi + StateLayout.X87Opcode], cx);
        _asm.mov(rax, __qword_ptr[rsp + (own && _policy.MemorySize != 0 ? SavedOffset : SavedDataPointer)]);
        _asm.mov(__qword_ptr[rdi + StateLayout.X87DataPointer], rax);
    }

    // Low three bits of the first opcode byte and the second byte (SDM 1 §8.1.9); of a memory form the ModRM byte is that of [rsi], not the guest's.
    private int X87Opcode()
    {
        if (_policy.Unit != HostUnit.X87)
        {
            return 0;
        }

        using MemoryStream stream = new();
        Encoder.Create(64, new StreamCodeWriter(stream)).Encode(_plan.Rewritten, 0);
        byte[] bytes = stream.ToArray();
        int escape = Array.FindIndex(bytes, b => (b & 0xF8) == 0xD8);
        return ((bytes[escape] & 7) << 8) | bytes[escape + 1];
    }

    private void EmitInstruction(in Instruction instruction) => _asm.AddInstruction(instruction);

    private void EmitLoads()
    {
        foreach ((int number, bool wide) in _plan.VectorLoads)
        {
            AssemblerRegisterXMM xmm = new(Register.XMM0 + number);
            if (!_plan.IsVex)
            {
                _asm.movups(xmm, __xmmword_ptr[rdi + StateLayout.Vector(number)]);
                continue;
            }

            _asm.vmovups(xmm, __xmmword_ptr[rdi + StateLayout.Vector(number)]);
            if (wide)
            {
                AssemblerRegisterYMM ymm = new(Register.YMM0 + number);
                _asm.vinsertf128(ymm, ymm, __xmmword_ptr[rdi + StateLayout.VectorHigh(number)], 1);
            }
        }

        EmitGeneralLoads();
    }

    private void EmitGeneralLoads()
    {
        foreach (RegisterPlan.GeneralMapping mapping in _plan.General)
        {
            if (mapping.IsHighByte)
            {
                _asm.movzx(new AssemblerRegister32(Register.EAX + (mapping.Host - Register.RAX)), __byte_ptr[rdi + StateLayout.General(mapping.Guest) + 1]);
            }
            else
            {
                _asm.mov(new AssemblerRegister64(mapping.Host), __qword_ptr[rdi + StateLayout.General(mapping.Guest)]);
            }
        }

        if (_plan.ReadsFlags)
        {
            // Through the stack, since every general register may be in use. Only arithmetic flags get to the host.
            _asm.push(__qword_ptr[rdi + StateLayout.Rflags]);
            _asm.and(__qword_ptr[rsp], ArithmeticFlags);
            _asm.popfq();
        }
    }

    // The flags as the instruction left them go to [rsp - 8] and at once back above: nothing may change them in between.
    private void EmitFlagCapture()
    {
        if (_plan.UsesFlags)
        {
            _asm.pushfq();
            _asm.pop(__qword_ptr[rsp + MemoryResult]);
        }
    }

    private void EmitStores()
    {
        foreach (int number in _plan.VectorStores)
        {
            AssemblerRegisterXMM xmm = new(Register.XMM0 + number);
            if (_plan.IsVex)
            {
                _asm.vmovups(__xmmword_ptr[rdi + StateLayout.Vector(number)], xmm);
                _asm.vextractf128(__xmmword_ptr[rdi + StateLayout.VectorHigh(number)], new AssemblerRegisterYMM(Register.YMM0 + number), 1);
            }
            else
            {
                _asm.movups(__xmmword_ptr[rdi + StateLayout.Vector(number)], xmm);
            }
        }

        EmitGeneralStores();
        if (_plan.VectorStores.Count != 0)
        {
            _asm.or(__byte_ptr[rdi + StateLayout.XstateBv], (byte)(_plan.IsVex ? 6 : 2));
        }

        if (_plan.IsVex && (_plan.VectorLoads.Count != 0 || _plan.VectorStores.Count != 0))
        {
            _asm.vzeroupper();
        }
    }

    private void EmitGeneralStores()
    {
        foreach (RegisterPlan.GeneralMapping mapping in _plan.General)
        {
            if (mapping.IsWritten)
            {
                _asm.mov(__qword_ptr[rdi + StateLayout.General(mapping.Guest)], new AssemblerRegister64(mapping.Host));
            }
        }

        if (_plan.UsesFlags)
        {
            _asm.mov(rax, __qword_ptr[rsp + MemoryResult]);
            _asm.and(rax, ArithmeticFlags);
            _asm.mov(rcx, __qword_ptr[rdi + StateLayout.Rflags]);
            _asm.and(rcx, ~ArithmeticFlags);
            _asm.or(rax, rcx);
            _asm.mov(__qword_ptr[rdi + StateLayout.Rflags], rax);
        }
    }

    private void EmitReturn(HostStatus status)
    {
        if (status == HostStatus.Done)
        {
            _asm.xor(eax, eax);
        }
        else
        {
            _asm.mov(eax, (uint)status);
        }

        if (UsesFrame)
        {
            _asm.add(rsp, FrameSize);
        }

        _asm.ret();
    }
}
