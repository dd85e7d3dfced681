using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary>What engine and vCPUs count; see <see cref="CpuCounterNames"/>.</summary>
public sealed unsafe class CounterTests
{
    private const ulong Code = GuestProgram.Code;
    private const ulong Data = GuestProgram.Data;

    [Fact]
    public void EveryInstructionIsCountedOnce()
    {
        using GuestProgram guest = new();
        guest.Rcx = 1000;
        guest.Rsi = Data;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            Label loop = a.CreateLabel();
            Label function = a.CreateLabel();
            Label end = a.CreateLabel();
            a.Label(ref loop);
            a.call(function);
            a.pause();
            a.dec(ecx);
            a.jne(loop);
            a.jmp(end);
            a.Label(ref function);
            a.@lock.inc(__dword_ptr[rsi]);
            a.xsave(__[rsi + 64]);
            a.ret();
            a.Label(ref end);
        }));
        Assert.Equal((1000UL * 7) + 2, guest.Cpu.InstructionCount);
        Assert.Equal((long)guest.Cpu.InstructionCount, InstructionsOf(guest.Cpu));
        Assert.Equal(1000, TestEngine.Counter(guest.Cpu, CpuCounterNames.Pauses));
        Assert.True(TestEngine.Counter(guest.Cpu, CpuCounterNames.PageWalks) > 0);
        Assert.True(TestEngine.BlocksOf(guest.Engine).Made > 0);
#if TRANSLATOR
        // The call is never for the interpreter here; the others are whoever's.
        Assert.InRange(TestEngine.Counter(guest.Cpu, CpuCounterNames.TranslatedInstructions), 900, 7002);
        Assert.True(TestEngine.Counter(guest.Cpu, CpuCounterNames.TranslatedEntries) > 0);
        Assert.True(TestEngine.Counter(guest.Engine, CpuCounterNames.TranslatedBlockInstructions) >= TestEngine.BlocksOf(guest.Engine).Made);
#endif
    }

    [Fact]
    public void WritesToCodeAreCounted()
    {
        using GuestProgram guest = new();
        guest.Rcx = 10;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            a.mov(__dword_ptr[Code + 0x20], ecx);
            a.dec(ecx);
            a.jne(loop);
        }));
        Assert.Equal(10, TestEngine.Counter(guest.Cpu, CpuCounterNames.CodeWrites));
    }

    [Fact]
    public void AnEngineHasEachCounterOnceAndSaysHowFullItIs()
    {
        using GuestProgram guest = new();
        GuestProgram.AssertSyscall(guest.Run(a => a.nop()));
        IReadOnlyList<CpuCounter> engine = guest.Engine.ReadCounters();
        IReadOnlyList<CpuCounter> cpu = guest.Cpu.ReadCounters();
        Assert.Distinct(engine.Concat(cpu).Select(counter => counter.Name));
        Assert.All(engine.Concat(cpu), counter => Assert.True(counter.Value >= 0, counter.Name));
        string[] caches = [.. engine.Select(c => c.Name).Where(name => name.EndsWith(".capacity", StringComparison.Ordinal)).Select(name => name.Split('.')[0])];
        Assert.All(caches, cache => Assert.InRange(TestEngine.Counter(guest.Engine, $"{cache}.bytes"), 0, TestEngine.Counter(guest.Engine, $"{cache}.capacity")));
        Assert.Contains(caches, cache => TestEngine.Counter(guest.Engine, $"{cache}.bytes") > 0);
    }

#if TRANSLATOR
    [Fact]
    public void LinksAndJumpCacheMissesAreThoseOfTheCode()
    {
        using GuestProgram guest = new();
        ulong function = Code + 0x1000;
        guest.Assemble(function, a =>
        {
            a.inc(eax);
            a.ret();
        });
        guest.Rsi = function;
        guest.Rcx = 1000;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            a.call(rsi);
            a.call(function);
            a.dec(ecx);
            a.jne(loop);
        }));

        // The direct call becomes a link, the indirect one finds its target; a thousand rounds do not miss a thousand times.
        Assert.InRange(TestEngine.Counter(guest.Engine, CpuCounterNames.Links), 1, 10);
        Assert.InRange(TestEngine.Counter(guest.Cpu, CpuCounterNames.JumpCacheMisses), 1, 20);
    }

    [Fact]
    public void LookAsideMissesAreCounted()
    {
        using GuestProgram guest = new();
        guest.Rsi = Data;
        guest.Rcx = 10;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            a.mov(rax, __qword_ptr[rsi]);
            a.add(rsi, 0x1000);
            a.dec(ecx);
            a.jne(loop);
        }));
        Assert.InRange(TestEngine.Counter(guest.Cpu, CpuCounterNames.LookAsideFills), 10, 12);
    }
#endif

    /// <summary>Read while the vCPU runs: totals never go down, and at the end they are exact.</summary>
    [Fact]
    public void TotalsOnlyGrow()
    {
        using GuestProgram guest = new();
        guest.Rcx = 300_000;
        guest.Rsi = Data;
        guest.Assemble(Code, a =>
        {
            Label loop = a.CreateLabel();
            Label function = a.CreateLabel();
            Label end = a.CreateLabel();
            a.Label(ref loop);
            a.call(function);
            a.@lock.inc(__dword_ptr[rsi]);
            a.dec(ecx);
            a.jne(loop);
            a.jmp(end);
            a.Label(ref function);
            a.pause();
            a.ret();
            a.Label(ref end);
        });
        guest.StateRef.Rip = Code;
        CpuExit exit = default;
        Thread thread = new(() =>
        {
            do
            {
                guest.Cpu.Run(out exit);
            }
            while (exit.Kind == CpuExitKind.Kicked);
        });
        thread.Start();
        IReadOnlyList<CpuCounter> before = Read(guest);
        while (thread.IsAlive)
        {
            IReadOnlyList<CpuCounter> now = Read(guest);
            Assert.Equal(before.Select(counter => counter.Name), now.Select(counter => counter.Name));
            foreach ((CpuCounter earlier, CpuCounter later) in before.Zip(now))
            {
                Assert.True(later.Kind == CpuCounterKind.Level || later.Value >= earlier.Value, $"{later.Name}: {earlier.Value}, then {later.Value}");
            }

            before = now;
            guest.Cpu.Kick();
        }

        GuestProgram.AssertSyscall(exit);
        Assert.Equal((300_000UL * 6) + 2, guest.Cpu.InstructionCount);
        Assert.Equal((long)guest.Cpu.InstructionCount, InstructionsOf(guest.Cpu));
    }

    private static IReadOnlyList<CpuCounter> Read(GuestProgram guest) => [.. guest.Engine.ReadCounters(), .. guest.Cpu.ReadCounters()];

    private static long InstructionsOf(VirtualCpu cpu) => cpu.ReadCounters()
        .Where(counter => counter.Name is CpuCounterNames.TranslatedInstructions or CpuCounterNames.InterpretedInstructions)
        .Sum(counter => counter.Value);
}
