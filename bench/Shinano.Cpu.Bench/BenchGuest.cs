using Iced.Intel;
using Shinano.Cpu.Interpreter;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu.Bench;

/// <summary>One vCPU with flat pages and one program that ends with SYSCALL.</summary>
internal sealed unsafe class BenchGuest : IDisposable
{
    public const ulong Code = 0x40_0000;
    public const ulong Data = 0x60_0000;
    private const ulong FirstFrame = 0x1000;
    private const ulong Root = FirstFrame << 12;
    private const int Pages = 1024;

    private readonly GuestMemory _memory = new(FirstFrame, Pages);
    private readonly InterpreterEngine _engine;
    private readonly VirtualCpu _cpu;

    public BenchGuest(Action<Assembler> write)
    {
        _memory.AddRam(FirstFrame, Pages);
        _engine = new InterpreterEngine(_memory, new CpuEngineSettings(GuestKind.Paravirtual, InterpreterEngine.Supported));
        _cpu = _engine.CreateVirtualCpu();

        // One table of each level; the L1 tables of the first 8 MiB map linear pages to frames one to one above the tables.
        const ulong Flags = PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User | PageTableEntry.Accessed | PageTableEntry.Dirty;
        for (ulong level = 0; level < 2; level++)
        {
            _memory.TryWriteUInt64(Root + (level << 12), (Root + ((level + 1) << 12)) | Flags);
        }

        for (ulong table = 0; table < 4; table++)
        {
            _memory.TryWriteUInt64(Root + 0x2000 + (table * 8), (Root + ((3 + table) << 12)) | Flags);
        }

        for (ulong page = 0x400; page < 0x780; page++)
        {
            _memory.TryWriteUInt64(Root + 0x3000 + (page * 8), (Root + ((page - 0x400 + 8) << 12)) | Flags);
        }

        Assembler assembler = new(64);
        write(assembler);
        assembler.syscall();
        using MemoryStream stream = new();
        assembler.Assemble(new StreamCodeWriter(stream), Code);
        _memory.TryWrite(Root + 0x8000, stream.ToArray());
    }

    /// <summary>Runs the program once; returns the number of instructions.</summary>
    public ulong Run()
    {
        CpuState* state = _cpu.State;
        RegisterTable.Reset(state);
        state->Rip = Code;
        state->Gpr[4] = 0x77_0000;
        state->Rflags = 0x202;
        state->Cpl = 3;
        state->Cr0 = 0x8001_0033;
        state->Cr3 = Root;
        state->Cr4 = (1 << 5) | (1 << 9) | (1 << 10) | (1 << 18);
        state->Efer = 0xD01;
        state->Xcr0 = 7;
        ulong before = _cpu.InstructionCount;
        _cpu.Run(out CpuExit exit);
        if (exit.Kind != CpuExitKind.Syscall)
        {
            throw new InvalidOperationException($"the guest stopped with {exit.Kind} {exit.Vector} at {state->Rip:x}, address {exit.Address:x}");
        }

        return _cpu.InstructionCount - before;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _cpu.Dispose();
        _engine.Dispose();
        _memory.Dispose();
    }
}
