using Iced.Intel;
using Shinano.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary>Single step, DR0 to DR3 and alignment checks (SDM 3B §17.2 and §17.3, SDM 3A §6.15).</summary>
public sealed unsafe class CarefulModeTests
{
    private const ulong Code = GuestProgram.Code;
    private const ulong Data = GuestProgram.Data;
    private const ulong AlignmentMask = 1UL << 18;

    [Fact]
    public void AnExecutionBreakpointIsAFaultThatResumeSteps()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a =>
        {
            a.xor(eax, eax);
            a.inc(eax);
            a.inc(eax);
        });
        Watch(guest, 2, Code + 2, BreakpointKind.Execute, 1);
        guest.StateRef.Rip = Code;
        AssertDebug(guest, 1 << 2, Code + 2);
        Assert.Equal(0UL, guest.Rax);

        // The same again without RF; with it the instruction runs, and RF ends.
        AssertDebug(guest, 1 << 2, Code + 2);
        guest.StateRef.Rflags |= Rflags.Resume;
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(2UL, guest.Rax);
        Assert.Equal(0UL, guest.StateRef.Rflags & Rflags.Resume);
    }

    [Theory]
    [InlineData(1, 0x101, false)]
    [InlineData(1, 0x100, true)]
    [InlineData(2, 0x103, true)]
    [InlineData(4, 0x103, true)]
    [InlineData(4, 0x107, false)]
    [InlineData(8, 0x107, true)]
    [InlineData(8, 0x0FF, true)]
    [InlineData(8, 0x0FE, false)]
    public void AWriteIsATrapWhenItTouchesTheWatchedBytes(int length, int at, bool met)
    {
        // The watched bytes begin at 0x100, or at 0x102 for two of them; two bytes are written.
        using GuestProgram guest = new();
        byte[] code = guest.Assemble(Code, a =>
        {
            a.mov(ax, __word_ptr[Data + (ulong)at]);
            a.mov(__word_ptr[Data + (ulong)at], cx);
            a.nop();
        });
        Watch(guest, 1, Data + 0x100 + (length == 2 ? 2UL : 0), BreakpointKind.Write, length);
        guest.StateRef.Rip = Code;
        guest.Rcx = 0x1234;
        if (met)
        {
            AssertDebug(guest, 1 << 1, Code + (ulong)code.Length - 3);
            Assert.Equal(0x1234, BitConverter.ToUInt16(guest.Read(Data + (ulong)at, 2)));
        }

        GuestProgram.AssertSyscall(guest.Run());
    }

    [Fact]
    public void ReadsAndEveryKindOfWriteAreSeen()
    {
        using GuestProgram guest = new();
        Action<Assembler>[] accesses =
        [
            a => a.mov(rax, __[rdi]),
            a => a.@lock.add(__dword_ptr[rdi], 1),
            a => a.movups(xmm0, __[rdi - 8]),
            a => a.movups(__[rdi - 15], xmm0),
            a => a.cmpxchg(__[rdi], rbx),
            a => a.push(rax),
            a => a.pop(rax),
            a => a.fild(__qword_ptr[rdi]),
            a => a.xchg(__[rdi], rax),
            a => a.movsq(),
            a => a.fxsave(__[rdi - 16]),
        ];
        foreach (Action<Assembler> access in accesses)
        {
            guest.StateRef.Dr[7] = 0;
            Watch(guest, 3, Data + 0x800, BreakpointKind.ReadWrite, 8);
            guest.Rsi = Data + 0x20;
            guest.Rdi = Data + 0x800;
            guest.Rsp = Data + 0x808;
            byte[] code = guest.Assemble(Code, a =>
            {
                access(a);
                a.mov(ecx, 1);
            });
            if (guest.Read(Code, 1)[0] == 0x58)
            {
                guest.Rsp = Data + 0x800;
            }

            guest.StateRef.Rip = Code;
            AssertDebug(guest, 1 << 3, Code + (ulong)code.Length - 7);
            GuestProgram.AssertSyscall(guest.Run());
        }
    }

    [Fact]
    public void StepAndDataBreakpointAreOneTrap()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a => a.mov(__[rdi], rax));
        Watch(guest, 0, Data, BreakpointKind.Write, 4);
        guest.StateRef.Rip = Code;
        guest.StateRef.Rflags |= Rflags.Trap;
        guest.Rdi = Data;
        AssertDebug(guest, DebugControl.SingleStep | 1, Code + 3);
    }

    [Fact]
    public void AFaultingInstructionMeetsNoDataBreakpoint()
    {
        using GuestProgram guest = new();
        guest.Unmap(Data + 0x1000);
        guest.Assemble(Code, a => a.movsq());
        Watch(guest, 0, Data, BreakpointKind.ReadWrite, 8);
        guest.StateRef.Rip = Code;
        guest.Rsi = Data;
        guest.Rdi = Data + 0x1000;
        GuestProgram.AssertFault(guest.Run(), ExceptionVector.PageFault, 6);
        guest.Map(Data + 0x1000, guest.AllocateFrame());
        AssertDebug(guest, 1, Code + 2);
    }

    [Fact]
    public void EachIterationOfARepeatedStringIsAStep()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a => a.rep.movsb());
        guest.StateRef.Rip = Code;
        guest.StateRef.Rflags |= Rflags.Trap;
        guest.Rsi = Data;
        guest.Rdi = Data + 0x100;
        guest.Rcx = 3;
        Watch(guest, 0, Data + 0x101, BreakpointKind.Write, 1);
        Watch(guest, 1, Code, BreakpointKind.Execute, 1);
        AssertDebug(guest, 1 << 1, Code);
        guest.StateRef.Rflags |= Rflags.Resume;
        AssertDebug(guest, DebugControl.SingleStep, Code);
        Assert.Equal(2UL, guest.Rcx);
        Assert.NotEqual(0UL, guest.StateRef.Rflags & Rflags.Resume);
        AssertDebug(guest, DebugControl.SingleStep | 1, Code);
        Assert.Equal(1UL, guest.Rcx);
        AssertDebug(guest, DebugControl.SingleStep, Code + 2);
        Assert.Equal(0UL, guest.Rcx);
    }

    [Fact]
    public void ARepeatedStringWithoutStepsEndsInOneRun()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a => a.rep.stosb());
        guest.StateRef.Rip = Code;
        guest.Rdi = Data;
        guest.Rcx = 3000;
        guest.Rax = 7;
        Watch(guest, 0, Data + 0x4000, BreakpointKind.Write, 1);
        GuestProgram.AssertSyscall(guest.Run());
        Assert.All(guest.Read(Data, 3000), b => Assert.Equal(7, b));
    }

    [Fact]
    public void AMisalignedAccessIsAFaultOnlyWithBothBits()
    {
        using GuestProgram guest = new();
        void Prepare(ulong cr0, ulong ac)
        {
            guest.Assemble(Code, a => a.mov(eax, __[rdi]));
            guest.StateRef.Rip = Code;
            guest.StateRef.Cr0 = (guest.StateRef.Cr0 & ~AlignmentMask) | cr0;
            guest.StateRef.Rflags = (guest.StateRef.Rflags & ~Rflags.AlignmentCheck) | ac;
            guest.Rdi = Data + 2;
        }

        Prepare(0, Rflags.AlignmentCheck);
        GuestProgram.AssertSyscall(guest.Run());
        Prepare(AlignmentMask, 0);
        GuestProgram.AssertSyscall(guest.Run());
        Prepare(AlignmentMask, Rflags.AlignmentCheck);
        GuestProgram.AssertFault(guest.Run(), ExceptionVector.AlignmentCheck);
        Assert.Equal(Code, guest.StateRef.Rip);
        guest.Rdi = Data + 4;
        GuestProgram.AssertSyscall(guest.Run());

        // Misalignment is found before the page that is not there; a non-canonical address before misalignment.
        Prepare(AlignmentMask, Rflags.AlignmentCheck);
        guest.Rdi = Data + 0x10_0001;
        GuestProgram.AssertFault(guest.Run(), ExceptionVector.AlignmentCheck);
        guest.Rdi = 1UL << 63 | 1;
        GuestProgram.AssertFault(guest.Run(), ExceptionVector.GeneralProtection);
    }

    [Fact]
    public void PopfTurnsAlignmentChecksOn()
    {
        using GuestProgram guest = new();
        guest.StateRef.Cr0 |= AlignmentMask;
        guest.Rdi = Data + 1;
        byte[] code = guest.Assemble(Code, a =>
        {
            a.mov(eax, __[rdi]);
            a.pushfq();
            a.or(__dword_ptr[rsp], (int)Rflags.AlignmentCheck);
            a.popfq();
            a.mov(eax, __[rdi]);
        });
        guest.StateRef.Rip = Code;
        GuestProgram.AssertFault(guest.Run(), ExceptionVector.AlignmentCheck);
        Assert.Equal(Code + (ulong)code.Length - 4, guest.StateRef.Rip);
    }

    [Fact]
    public void AKickInTheCarefulModeLosesNothing()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a => a.inc(rax));
        Watch(guest, 0, Data, BreakpointKind.Write, 1);
        guest.StateRef.Rip = Code;
        guest.Cpu.Kick();
        Assert.Equal(CpuExitKind.Kicked, guest.Run().Kind);
        Assert.Equal(Code, guest.StateRef.Rip);
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(1UL, guest.Rax);
    }

    private static void Watch(GuestProgram guest, int number, ulong address, BreakpointKind kind, int length)
    {
        ulong encoded = length switch { 1 => 0UL, 2 => 1, 8 => 2, _ => 3 };
        ref CpuState state = ref guest.StateRef;
        state.Dr[number] = address;
        state.Dr[7] |= 0x400 | (1UL << (2 * number)) | (((encoded << 2) | (ulong)kind) << (16 + (4 * number)));
    }

    private static void AssertDebug(GuestProgram guest, ulong status, ulong rip)
    {
        GuestProgram.AssertFault(guest.Run(), ExceptionVector.Debug);
        Assert.Equal(status, guest.Exit.DebugStatus);
        Assert.Equal(rip, guest.StateRef.Rip);
    }
}
