using Iced.Intel;
using Shinano.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary>Probes: <see cref="ICpuEngine.SetProbe"/> and <see cref="CpuExitKind.Probe"/>.</summary>
public sealed unsafe class ProbeTests
{
    private const ulong Code = GuestProgram.Code;
    private const ulong Data = GuestProgram.Data;

    /// <summary>The first run meets no code yet, the second one code that was made before the probe was set.</summary>
    [Theory]
    [InlineData(false, 0)]
    [InlineData(false, 2)]
    [InlineData(false, 7)]
    [InlineData(true, 0)]
    [InlineData(true, 2)]
    [InlineData(true, 7)]
    public void AProbeIsMetBeforeItsInstructionAndPassedOnce(bool runBefore, int offset)
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a =>
        {
            a.mov(al, 1);
            a.add(eax, 0x10);
            a.lea(rbx, __[rax + rax]);
        });
        if (runBefore)
        {
            GuestProgram.AssertSyscall(guest.Run());
        }

        Set(guest, Code + (ulong)offset);
        guest.Rax = 0;
        guest.Rbx = 0;
        guest.StateRef.Rip = Code;
        ulong before = guest.Cpu.InstructionCount;
        AssertProbe(guest, Code + (ulong)offset);
        (ulong count, ulong value) = offset switch { 0 => (0UL, 0UL), 2 => (1UL, 1UL), _ => (2UL, 0x11UL) };
        Assert.Equal((count, value, 0UL), (guest.Cpu.InstructionCount - before, guest.Rax, guest.Rbx));
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal((4UL, 0x11UL, 0x22UL), (guest.Cpu.InstructionCount - before, guest.Rax, guest.Rbx));

        guest.StateRef.Rip = Code;
        AssertProbe(guest, Code + (ulong)offset);
        Assert.True(guest.Engine.ClearProbe(guest.Physical(Code + (ulong)offset)));
        GuestProgram.AssertSyscall(guest.Run());
        guest.StateRef.Rip = Code;
        GuestProgram.AssertSyscall(guest.Run());
    }

    [Fact]
    public void AHotLoopStopsInEachRoundAtABranchTarget()
    {
        using GuestProgram guest = new();
        ulong top = 0;
        guest.Assemble(Code, a =>
        {
            Label loop = a.CreateLabel();
            a.mov(ecx, 100_000);
            a.Label(ref loop);
            top = Code + 5;
            a.add(rax, rcx);
            a.dec(ecx);
            a.jne(loop);
        });
        GuestProgram.AssertSyscall(guest.Run());
        Set(guest, top);
        guest.Rax = 0;
        guest.StateRef.Rip = Code;
        for (uint round = 100_000; round > 99_000; round--)
        {
            AssertProbe(guest, top);
            Assert.Equal(round, (uint)guest.Rcx);
        }

        guest.Engine.ClearProbe(guest.Physical(top));
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(100_000UL * 100_001 / 2, guest.Rax);
    }

    [Fact]
    public void AnInstructionThatJumpsToItselfIsReachedEachTime()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a =>
        {
            Label self = a.CreateLabel();
            a.Label(ref self);
            a.loop(self);
        });
        Set(guest, Code);
        guest.StateRef.Rip = Code;
        guest.Rcx = 5;
        for (int i = 5; i > 0; i--)
        {
            AssertProbe(guest, Code);
            Assert.Equal((ulong)i, guest.Rcx);
        }

        GuestProgram.AssertSyscall(guest.Run());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AnInstructionThatCrossesAPageHasItsProbeInTheFirstOne(bool runBefore)
    {
        using GuestProgram guest = new();
        ulong start = Code + 0xFFB;
        guest.Assemble(start, a =>
        {
            a.mov(bl, 7);
            a.mov(rax, 0x1122_3344_5566_7788);
            a.inc(rax);
        });
        guest.StateRef.Rip = start;
        if (runBefore)
        {
            GuestProgram.AssertSyscall(guest.Run());
            guest.Rax = 0;
        }

        guest.StateRef.Rip = start;
        Set(guest, start + 2);
        Set(guest, start + 12);
        AssertProbe(guest, start + 2);
        Assert.Equal((7UL, 0UL), (guest.Rbx, guest.Rax));
        AssertProbe(guest, start + 12);
        Assert.Equal(0x1122_3344_5566_7788UL, guest.Rax);
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(0x1122_3344_5566_7789UL, guest.Rax);
    }

    [Fact]
    public void AProbeHoldsForEveryMappingOfItsFrame()
    {
        using GuestProgram guest = new();
        ulong alias = 0x5000_0000;
        guest.Map(alias, guest.Physical(Code) >> 12);
        guest.Assemble(Code, a => a.inc(eax));
        Set(guest, Code);
        guest.StateRef.Rip = alias;
        CpuExit exit = guest.Run();
        Assert.Equal((CpuExitKind.Probe, alias, guest.Physical(Code)), (exit.Kind, guest.StateRef.Rip, exit.Address));
        GuestProgram.AssertSyscall(guest.Run());
        guest.StateRef.Rip = Code;
        AssertProbe(guest, Code);
    }

    [Fact]
    public void CallsAndReturnsMeetProbes()
    {
        using GuestProgram guest = new();
        ulong function = Code + 0x1800;
        guest.Assemble(function, a =>
        {
            a.inc(eax);
            a.ret();
        });
        guest.Assemble(Code, a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            a.call(function);
            a.call(rsi);
            a.dec(ecx);
            a.jne(loop);
        });
        guest.Rsi = function;
        guest.Rcx = 50;
        guest.StateRef.Rip = Code;
        GuestProgram.AssertSyscall(guest.Run());

        // The function's entry, its return, and the places after the direct and after the indirect call.
        Set(guest, function);
        Set(guest, function + 2);
        Set(guest, Code + 5);
        Set(guest, Code + 7);
        guest.Rax = 0;
        guest.Rcx = 50;
        guest.StateRef.Rip = Code;
        for (int round = 0; round < 50; round++)
        {
            foreach (ulong after in (ulong[])[Code + 5, Code + 7])
            {
                AssertProbe(guest, function);
                AssertProbe(guest, function + 2);
                AssertProbe(guest, after);
            }
        }

        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal((100UL, GuestProgram.StackTop), (guest.Rax, guest.Rsp));
    }

    [Fact]
    public void SingleStepMeetsProbesOnce()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a =>
        {
            a.inc(eax);
            a.inc(eax);
            a.inc(eax);
        });
        Set(guest, Code + 2);
        guest.StateRef.Rip = Code;
        guest.StateRef.Rflags |= Rflags.Trap;
        GuestProgram.AssertFault(guest.Run(), ExceptionVector.Debug);
        Assert.Equal((1UL, Code + 2), (guest.Rax, guest.StateRef.Rip));
        AssertProbe(guest, Code + 2);
        Assert.Equal(1UL, guest.Rax);
        GuestProgram.AssertFault(guest.Run(), ExceptionVector.Debug);
        Assert.Equal((2UL, Code + 4), (guest.Rax, guest.StateRef.Rip));
        guest.StateRef.Rflags &= ~Rflags.Trap;
        GuestProgram.AssertSyscall(guest.Run());
    }

    [Fact]
    public void AGuestsBreakpointAndAProbeAtOneAddressAreEachMetOnce()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a => a.inc(eax));
        Set(guest, Code);
        guest.StateRef.Dr[0] = Code;
        guest.StateRef.Dr[7] = 1;
        guest.StateRef.Rip = Code;
        CpuExit exit = guest.Run();
        GuestProgram.AssertFault(exit, ExceptionVector.Debug);
        Assert.Equal(1UL, exit.DebugStatus);

        // What the guest's handler does: it comes back with RF.
        guest.StateRef.Rflags |= Rflags.Resume;
        AssertProbe(guest, Code);
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(1UL, guest.Rax);
    }

    [Fact]
    public void AProbeStaysWhenTheCodeUnderItChanges()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a =>
        {
            a.nop();
            a.mov(eax, 1);
        });
        Set(guest, Code + 1);
        for (int value = 1; value < 5; value++)
        {
            guest.Write(Code + 2, BitConverter.GetBytes(value));
            guest.StateRef.Rip = Code;
            AssertProbe(guest, Code + 1);

            // Changed while the vCPU waits at the probe: it executes what is there now.
            guest.Write(Code + 2, BitConverter.GetBytes(value + 100));
            GuestProgram.AssertSyscall(guest.Run());
            Assert.Equal((ulong)value + 100, guest.Rax);
        }
    }

    [Fact]
    public void CodeThatWritesTheProbedInstructionMeetsTheProbe()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a =>
        {
            a.mov(__dword_ptr[Code + 8], ebx);
            a.mov(eax, 0);
        });
        Set(guest, Code + 7);
        for (ulong value = 1; value < 4; value++)
        {
            guest.Rbx = value;
            guest.StateRef.Rip = Code;
            AssertProbe(guest, Code + 7);
            GuestProgram.AssertSyscall(guest.Run());
            Assert.Equal(value, guest.Rax);
        }
    }

    [Fact]
    public void AKickAtTheProbeDoesNotMakeItStopAgain()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a => a.rep.movsb());
        Set(guest, Code);
        guest.StateRef.Rip = Code;
        guest.Rsi = Data;
        guest.Rdi = Data + 0x4000;
        guest.Rcx = 0x3000;
        AssertProbe(guest, Code);
        guest.Cpu.Kick();
        Assert.Equal(CpuExitKind.Kicked, guest.Run().Kind);
        Assert.Equal((Code, 0x3000UL), (guest.StateRef.Rip, guest.Rcx));

        // Nothing of the instruction was executed, or a part of it: it goes on where it is.
        CpuExit exit;
        do
        {
            guest.Cpu.Kick();
            guest.Run();
            exit = guest.Run();
        }
        while (exit.Kind == CpuExitKind.Kicked);
        GuestProgram.AssertSyscall(exit);
        Assert.Equal(0UL, guest.Rcx);
    }

    [Fact]
    public void AFaultThatIsTriedAgainDoesNotMeetTheProbeAgain()
    {
        using GuestProgram guest = new();
        ulong missing = 0x5000_0000;
        ulong frame = guest.AllocateFrame();
        guest.Map(missing, frame);
        guest.Unmap(missing);
        guest.Assemble(Code, a => a.mov(rax, __qword_ptr[rsi]));
        Set(guest, Code);
        guest.StateRef.Rip = Code;
        guest.Rsi = missing;
        AssertProbe(guest, Code);
        GuestProgram.AssertFault(guest.Run(), ExceptionVector.PageFault, (uint)PageFaultErrors.User);
        Assert.Equal(Code, guest.StateRef.Rip);
        guest.Map(missing, frame);
        guest.Cpu.FlushPage(missing);
        GuestProgram.AssertSyscall(guest.Run());
    }

    [Fact]
    public void OnlyWhatHoldsTheAddressIsDropped()
    {
        using GuestProgram guest = new();

        // Four functions in one 64-byte chunk of one page, and their caller in another page.
        for (ulong i = 0; i < 4; i++)
        {
            guest.Assemble(Code + (16 * i), a =>
            {
                a.inc(eax);
                a.inc(ebx);
                a.ret();
            });
        }

        ulong caller = Code + 0x1000;
        guest.Assemble(caller, a =>
        {
            for (ulong i = 0; i < 4; i++)
            {
                a.call(Code + (16 * i));
            }
        });
        void RunAll()
        {
            guest.StateRef.Rip = caller;
            GuestProgram.AssertSyscall(guest.Run());
        }

        RunAll();
        RunAll();
        RunAll();
        (long made, long dropped) = TestEngine.BlocksOf(guest.Engine);
        Assert.Equal(0, dropped);

        // Set: the one block that has the instruction. The next run decodes it anew in pieces, and nothing else.
        Set(guest, Code + 16 + 2);
        Assert.Equal((made, 1L), TestEngine.BlocksOf(guest.Engine));
        guest.StateRef.Rip = caller;
        AssertProbe(guest, Code + 16 + 2);
        GuestProgram.AssertSyscall(guest.Run());
        RunToEnd(guest, caller);
        (long madeWithProbe, long droppedWithProbe) = TestEngine.BlocksOf(guest.Engine);
        Assert.Equal(1, droppedWithProbe);
        Assert.InRange(madeWithProbe - made, 1, 3);
        Assert.Equal(0, TestEngine.Counters(guest.Engine).BlocksInvalidated);
        Assert.Equal(1, TestEngine.Counter(guest.Engine, CpuCounterNames.Probes));

        // Cleared: what stood at the probe and, in an engine where it stopped there, the block before it.
        Assert.True(guest.Engine.ClearProbe(guest.Physical(Code + 16 + 2)));
        Assert.InRange(TestEngine.BlocksOf(guest.Engine).DroppedByProbes - droppedWithProbe, 1, 2);
        RunAll();
        RunAll();
        long madeAfter = TestEngine.BlocksOf(guest.Engine).Made;
        Assert.InRange(madeAfter - madeWithProbe, 1, 2);
        RunAll();
        Assert.Equal(madeAfter, TestEngine.BlocksOf(guest.Engine).Made);
        Assert.Equal(0, TestEngine.Counters(guest.Engine).BlocksInvalidated);
        Assert.Equal(0, TestEngine.Counter(guest.Engine, CpuCounterNames.Probes));
    }

    [Fact]
    public void SettingTwiceIsOneProbeAndOutsideOfMemoryThereIsNone()
    {
        using GuestProgram guest = new();
        ulong physical = guest.Physical(Code);
        Assert.True(guest.Engine.SetProbe(physical));
        Assert.True(guest.Engine.SetProbe(physical));
        Assert.Equal(1, TestEngine.Counter(guest.Engine, CpuCounterNames.Probes));
        Assert.True(guest.Engine.ClearProbe(physical));
        Assert.False(guest.Engine.ClearProbe(physical));
        Assert.False(guest.Engine.SetProbe((GuestProgram.FirstFrame - 1) << 12));
        Assert.False(guest.Engine.SetProbe((GuestProgram.FirstFrame + GuestProgram.FrameCount) << 12));
        Assert.False(guest.Engine.ClearProbe(ulong.MaxValue));
        Assert.Equal(0, TestEngine.Counter(guest.Engine, CpuCounterNames.Probes));
    }

    [Fact]
    public void AFrameThatLeftTheDomainGivesItsProbeBack()
    {
        using GuestProgram guest = new();
        guest.Run(a => a.nop());
        ulong physical = guest.Physical(Code);
        Set(guest, Code);
        guest.Memory.RemoveRam(physical >> 12);
        Assert.True(guest.Engine.ClearProbe(physical));
        Assert.False(guest.Engine.SetProbe(physical));
    }

    private static void RunToEnd(GuestProgram guest, ulong start)
    {
        guest.StateRef.Rip = start;
        while (guest.Run().Kind == CpuExitKind.Probe)
        {
        }

        GuestProgram.AssertSyscall(guest.Exit);
    }

    private static void Set(GuestProgram guest, ulong linear) => Assert.True(guest.Engine.SetProbe(guest.Physical(linear)));

    private static void AssertProbe(GuestProgram guest, ulong linear)
    {
        CpuExit exit = guest.Run();
        Assert.Equal((CpuExitKind.Probe, linear, guest.Physical(linear)), (exit.Kind, guest.StateRef.Rip, exit.Address));
    }
}
