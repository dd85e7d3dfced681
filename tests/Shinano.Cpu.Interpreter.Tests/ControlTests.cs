using Iced.Intel;
using Shinano.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

public sealed class ControlTests
{
    private const ulong Code = GuestProgram.Code;

    [Fact]
    public void CallsReturnsAndLoopsCountTheirInstructions()
    {
        using GuestProgram guest = new();
        guest.Rcx = 1000;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            Label loop = a.CreateLabel();
            Label function = a.CreateLabel();
            Label end = a.CreateLabel();
            a.Label(ref loop);
            a.call(function);
            a.dec(rcx);
            a.jne(loop);
            a.jmp(end);
            a.Label(ref function);
            a.add(rax, 3);
            a.ret();
            a.Label(ref end);
        }));
        Assert.Equal(3000UL, guest.Rax);
        Assert.Equal((1000UL * 5) + 2, guest.Cpu.InstructionCount);
        Assert.Equal(GuestProgram.StackTop, guest.Rsp);
    }

    [Fact]
    public void CodeCrossesPagesByInstructionAndByJump()
    {
        using GuestProgram guest = new();
        ulong start = Code + 0xFFD;
        GuestProgram.AssertSyscall(guest.Run(
            a =>
            {
                a.mov(rax, 0x1122_3344_5566_7788);
                a.add(rax, 1);
            },
            start));
        Assert.Equal(0x1122_3344_5566_7789UL, guest.Rax);
        Assert.Equal(2UL + 1, guest.Cpu.InstructionCount);
    }

    [Fact]
    public void AnInstructionWhoseSecondPageIsMissingFaultsThere()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code + 0xFFD, a => a.mov(rax, 0x1122_3344_5566_7788));
        guest.Unmap(Code + 0x1000);
        guest.StateRef.Rip = Code + 0xFFD;
        CpuExit exit = guest.Run();
        GuestProgram.AssertFault(exit, ExceptionVector.PageFault, (uint)(PageFaultErrors.User | PageFaultErrors.InstructionFetch));
        Assert.Equal(Code + 0x1000, exit.Address);
        Assert.Equal(Code + 0xFFD, guest.StateRef.Rip);
    }

    [Fact]
    public void ACrossingInstructionFollowsItsBytes()
    {
        using GuestProgram guest = new();
        for (int i = 1; i < 5; i++)
        {
            int value = i;
            guest.Run(a => a.mov(eax, value), Code + 0xFFE);
            Assert.Equal((ulong)i, guest.Rax);
        }
    }

    [Fact]
    public void JumpsToUnmappedAndNoExecutePagesFaultAtTheTarget()
    {
        using GuestProgram guest = new();
        guest.Rax = 0x1234_5000;
        CpuExit exit = guest.Run(a => a.jmp(rax));
        GuestProgram.AssertFault(exit, ExceptionVector.PageFault, (uint)(PageFaultErrors.User | PageFaultErrors.InstructionFetch));
        Assert.Equal(0x1234_5000UL, guest.StateRef.Rip);
        guest.Map(0x1234_5000, guest.AllocateFrame(), PageTableEntry.Present | PageTableEntry.User | PageTableEntry.NoExecute);
        exit = guest.Run(a => a.jmp(rax));
        GuestProgram.AssertFault(
            exit, ExceptionVector.PageFault, (uint)(PageFaultErrors.User | PageFaultErrors.InstructionFetch | PageFaultErrors.Present));
    }

    [Theory]
    [InlineData(new byte[] { 0x0F, 0x0B }, ExceptionVector.InvalidOpcode, 0)]
    [InlineData(new byte[] { 0x06 }, ExceptionVector.InvalidOpcode, 0)]
    [InlineData(new byte[] { 0xF4 }, ExceptionVector.GeneralProtection, 0)]
    [InlineData(new byte[] { 0xFA }, ExceptionVector.GeneralProtection, 0)]
    [InlineData(new byte[] { 0xFB }, ExceptionVector.GeneralProtection, 0)]
    [InlineData(new byte[] { 0xE4, 0x10 }, ExceptionVector.GeneralProtection, 0)]
    [InlineData(new byte[] { 0x0F, 0x20, 0xC0 }, ExceptionVector.GeneralProtection, 0)]
    [InlineData(new byte[] { 0x0F, 0x32 }, ExceptionVector.GeneralProtection, 0)]
    [InlineData(new byte[] { 0x0F, 0x01, 0xD1 }, ExceptionVector.GeneralProtection, 0)]
    [InlineData(new byte[] { 0xCD, 0x80 }, ExceptionVector.GeneralProtection, (0x80 * 8) + 2)]
    [InlineData(new byte[] { 0xF0, 0x90 }, ExceptionVector.InvalidOpcode, 0)]
    public void RefusedInstructionsFault(byte[] bytes, ExceptionVector vector, uint error)
    {
        using GuestProgram guest = new();
        GuestProgram.AssertFault(guest.RunBytes(bytes), vector, error);
        Assert.Equal(Code, guest.StateRef.Rip);
    }

    [Fact]
    public void BreakpointIsATrap()
    {
        using GuestProgram guest = new();
        GuestProgram.AssertFault(guest.RunBytes(0xCC), ExceptionVector.Breakpoint);
        Assert.Equal(Code + 1, guest.StateRef.Rip);
    }

    [Fact]
    public void CpuidAndSyscallExit()
    {
        using GuestProgram guest = new();
        CpuExit exit = guest.Run(a => a.cpuid());
        Assert.Equal(CpuExitKind.Cpuid, exit.Kind);
        Assert.Equal(2, exit.InstructionLength);
        Assert.Equal(Code, guest.StateRef.Rip);
        guest.StateRef.Rip += 2;
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(Code + 4, guest.StateRef.Rip);
    }

    [Fact]
    public void FeaturesThatAreNotAdvertisedAreUndefined()
    {
        using GuestProgram guest = new(CpuFeatures.None);
        GuestProgram.AssertFault(guest.Run(a => a.popcnt(eax, eax)), ExceptionVector.InvalidOpcode);
        GuestProgram.AssertFault(guest.Run(a => a.rdfsbase(rax)), ExceptionVector.InvalidOpcode);
        GuestProgram.AssertFault(guest.Run(a => a.vpxor(xmm0, xmm0, xmm0)), ExceptionVector.InvalidOpcode);
        GuestProgram.AssertFault(guest.Run(a => a.pshufb(xmm0, xmm1)), ExceptionVector.InvalidOpcode);
        guest.Rax = 8;
        GuestProgram.AssertSyscall(guest.Run(a => a.tzcnt(eax, eax)));
        Assert.Equal(3UL, guest.Rax);
    }

    [Fact]
    public void SingleStepTrapsAfterEachInstruction()
    {
        using GuestProgram guest = new();
        byte[] code = guest.Assemble(Code, a =>
        {
            a.mov(eax, 1);
            a.push(rax);
            a.inc(eax);
        });
        guest.StateRef.Rip = Code;
        guest.StateRef.Rflags |= Rflags.Trap;
        foreach (ulong next in new[] { Code + 5, Code + 6, Code + 8 })
        {
            GuestProgram.AssertFault(guest.Run(), ExceptionVector.Debug);
            Assert.Equal(1UL << 14, guest.Exit.DebugStatus);
            Assert.Equal(next, guest.StateRef.Rip);
        }

        guest.StateRef.Rflags &= ~Rflags.Trap;
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(Code + (ulong)code.Length, guest.StateRef.Rip);
        Assert.Equal(2UL, guest.Rax);
    }

    [Fact]
    public void PopfTrapsAfterTheInstructionThatFollowsIt()
    {
        using GuestProgram guest = new();
        CpuExit exit = guest.Run(a =>
        {
            a.pushfq();
            a.or(__dword_ptr[rsp], (int)Rflags.Trap);
            a.popfq();
            a.nop();
            a.nop();
        });
        GuestProgram.AssertFault(exit, ExceptionVector.Debug);
        Assert.Equal(Code + 1 + 7 + 1 + 1, guest.StateRef.Rip);
    }

    [Fact]
    public void PopfCannotChangeWhatCpl3MayNot()
    {
        using GuestProgram guest = new();
        guest.Rax = ulong.MaxValue & ~Rflags.Trap;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.push(rax);
            a.popfq();
        }));
        ulong flags = guest.StateRef.Rflags;
        Assert.Equal(0UL, flags & (Rflags.IoPrivilege | Rflags.Virtual8086 | Rflags.VirtualInterrupt | Rflags.Resume));
        Assert.Equal(Rflags.Arithmetic | Rflags.Interrupt | Rflags.Direction | Rflags.Identification, flags & (Rflags.Arithmetic | Rflags.Interrupt | Rflags.Direction | Rflags.Identification));
    }

    [Fact]
    public void AKickStopsALoop()
    {
        using GuestProgram guest = new();
        guest.Cpu.Kick();
        CpuExit exit = guest.Run(a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            a.inc(rax);
            a.jmp(loop);
        });
        Assert.Equal(CpuExitKind.Kicked, exit.Kind);
        Thread kicker = new(guest.Cpu.Kick);
        kicker.Start();
        Assert.Equal(CpuExitKind.Kicked, guest.Run().Kind);
        kicker.Join();
    }

    [Fact]
    public void SegmentRegistersLoadFromTheDescriptorTable()
    {
        using GuestProgram guest = new();
        ulong table = GuestProgram.Data + 0x3000;
        guest.WriteUInt64(table + 8, 0x12CF_F334_5678_FFFF);
        guest.WriteUInt64(table + 16, 0x00CF_9300_0000_FFFF);
        guest.StateRef.Gdtr = new SegmentRegister { Base = table, Limit = 23 };
        guest.Rax = 8 | 3;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.mov(fs, eax);
            a.mov(ebx, fs);
            a.xor(ecx, ecx);
            a.mov(gs, ecx);
        }));
        Assert.Equal(0x1234_5678UL, guest.StateRef.Fs.Base);
        Assert.Equal(11UL, guest.Rbx);
        guest.Rax = 16 | 3;
        GuestProgram.AssertFault(guest.Run(a => a.mov(ds, eax)), ExceptionVector.GeneralProtection, 16);
        guest.Rax = 24 | 3;
        GuestProgram.AssertFault(guest.Run(a => a.mov(es, eax)), ExceptionVector.GeneralProtection, 24);
        guest.Rax = 0;
        GuestProgram.AssertFault(guest.Run(a => a.mov(ss, eax)), ExceptionVector.GeneralProtection);
    }

    [Fact]
    public void FarTransfersStayInTheirPrivilege()
    {
        using GuestProgram guest = new();
        ulong table = GuestProgram.Data + 0x3000;
        guest.WriteUInt64(table + 8, 0x00AF_FB00_0000_FFFF);
        guest.WriteUInt64(table + 16, 0x00CF_F300_0000_FFFF);
        guest.WriteUInt64(table + 24, 0x00AF_9B00_0000_FFFF);
        guest.WriteUInt64(table + 32, 0x00CF_FB00_0000_FFFF);
        guest.StateRef.Gdtr = new SegmentRegister { Base = table, Limit = 39 };
        guest.Rsi = GuestProgram.Data;
        guest.WriteUInt64(GuestProgram.Data, Code + 0x100);
        guest.WriteUInt64(GuestProgram.Data + 8, 8 | 3);
        guest.Assemble(Code + 0x100, a =>
        {
            a.mov(edx, cs);
            a.db(0x48, 0xCB);
        });

        // call far [rsi]; mov ebx, 5; then an IRET frame to the SYSCALL behind it.
        byte[] call = [0x48, 0xFF, 0x1E];
        guest.Write(Code, call);
        guest.StateRef.Cs.Selector = 8 | 3;
        guest.StateRef.Ss.Selector = 16 | 3;
        guest.Assemble(Code + 3, a =>
        {
            Label end = a.CreateLabel();
            a.mov(ebx, 5);
            a.mov(rax, rsp);
            a.push(16 | 3);
            a.push(rax);
            a.pushfq();
            a.push(8 | 3);
            a.lea(rcx, __[end]);
            a.push(rcx);
            a.iretq();
            a.ud2();
            a.Label(ref end);
            a.nop();
        });
        guest.StateRef.Rip = Code;
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(11UL, guest.Rdx);
        Assert.Equal(5UL, guest.Rbx);
        Assert.Equal(GuestProgram.StackTop, guest.Rsp);
        foreach (uint refused in new uint[] { 24, 32, 16, 40 })
        {
            guest.WriteUInt64(GuestProgram.Data + 8, refused | 3);
            guest.StateRef.Rip = Code;
            GuestProgram.AssertFault(guest.Run(), ExceptionVector.GeneralProtection, refused);
            Assert.Equal(GuestProgram.StackTop, guest.Rsp);
        }
    }
}
