using Iced.Intel;
using Shinano.Cpu.Interpreter.Tests;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Translator.Tests;

/// <summary>Groups of accesses that reach over a page's end, and a stack that lies on one: they stay in translated code, and see changes of the page tables.</summary>
public sealed unsafe class PageEndTests
{
    private const int Rounds = 2000;
    private const ulong Edge = GuestProgram.Stack + 0x4000;

    /// <summary>Look-aside misses that the program may take to fill its pages in.</summary>
    private const long FirstMisses = 100;

    private static readonly AssemblerRegister64[] Saved = [rax, rdx, rbx, rbp, rsi, rdi, r8, r12];

    /// <summary>At each depth the group of pushes, that of pops, or single accesses meet the page's end elsewhere.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(8)]
    [InlineData(24)]
    [InlineData(56)]
    [InlineData(64)]
    [InlineData(72)]
    [InlineData(36)]
    public void AStackOnAPagesEndStaysInTranslatedCode(int above)
    {
        using GuestProgram guest = new();
        Start(guest, Edge + (ulong)above);
        long misses = TestEngine.Counter(guest.Cpu, CpuCounterNames.LookAsideFills);
        GuestProgram.AssertSyscall(guest.Run(PushAndPop));
        Assert.Equal((ulong)Rounds, guest.Rax);
        Assert.InRange(TestEngine.Counter(guest.Cpu, CpuCounterNames.LookAsideFills) - misses, 1, FirstMisses);

        // A push or pop that itself reaches over the end is the interpreter's.
        Assert.Equal(above % 8 != 0, TestEngine.Counter(guest.Cpu, CpuCounterNames.InterpretedInstructions) > Rounds);
    }

    [Fact]
    public void AStructureOnAPagesEndStaysInTranslatedCode()
    {
        using GuestProgram guest = new();
        Start(guest, GuestProgram.StackTop);
        guest.Gpr(rbx) = Edge - 16;
        GuestProgram.AssertSyscall(guest.Run(a => Loop(a, () =>
        {
            a.inc(__qword_ptr[rbx]);
            a.add(rax, __qword_ptr[rbx + 8]);
            a.inc(__qword_ptr[rbx + 16]);
            a.add(rax, __qword_ptr[rbx + 24]);
        })));
        Assert.Equal((ulong)Rounds, guest.ReadUInt64(Edge - 16));
        Assert.Equal((ulong)Rounds, guest.ReadUInt64(Edge));
        Assert.InRange(TestEngine.Counter(guest.Cpu, CpuCounterNames.LookAsideFills), 1, FirstMisses);
        Assert.InRange(TestEngine.Counter(guest.Cpu, CpuCounterNames.InterpretedInstructions), 0, FirstMisses);
    }

    /// <summary>What goes on without groups is found by address: it must not outlive the page that it was made of, nor the stack's page.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ChangedPagesAreSeen(bool flushesAll)
    {
        using GuestProgram guest = new();
        byte[] code = guest.Assemble(GuestProgram.Code, PushAndPop);
        Start(guest, Edge + 24);
        GuestProgram.AssertSyscall(guest.Run());
        ulong old = guest.Physical(Edge - 0x1000);

        // Other code, which counts down, at the same address, and another page for the lower half of the stack.
        guest.Map(GuestProgram.Code, guest.AllocateFrame());
        guest.Map(Edge - 0x1000, guest.AllocateFrame());
        Assert.Equal(code.Length, guest.Assemble(GuestProgram.Code, a => PushAndPop(a, -1)).Length);
        if (flushesAll)
        {
            guest.Cpu.FlushContext((int)(guest.State->TranslationContext & 1));
        }
        else
        {
            guest.Cpu.FlushPage(GuestProgram.Code);
            guest.Cpu.FlushPage(Edge - 0x1000);
        }

        Assert.True(guest.Memory.TryWrite(old, new byte[4096]));
        Start(guest, Edge + 24);
        guest.Gpr(rbp) = 0x1234;
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(unchecked((ulong)-Rounds), guest.Rax);

        // RBP is the first that is pushed below the edge.
        Assert.Equal(0x1234UL, guest.ReadUInt64(Edge - 8));
        byte[] before = new byte[4096];
        Assert.True(guest.Memory.TryRead(old, before));
        Assert.All(before, one => Assert.Equal(0, one));
    }

    private static void Start(GuestProgram guest, ulong stack)
    {
        guest.State->Rip = GuestProgram.Code;
        guest.Rsp = stack;
        guest.Rax = 0;
        guest.Rcx = Rounds;
    }

    private static void PushAndPop(Assembler a) => PushAndPop(a, 1);

    private static void PushAndPop(Assembler a, int step) => Loop(a, () =>
    {
        a.add(rax, step);
        foreach (AssemblerRegister64 register in Saved)
        {
            a.push(register);
        }

        foreach (AssemblerRegister64 register in Saved.Reverse())
        {
            a.pop(register);
        }
    });

    private static void Loop(Assembler a, Action body)
    {
        Label loop = a.CreateLabel();
        a.Label(ref loop);
        body();
        a.dec(rcx);
        a.jne(loop);
    }
}
