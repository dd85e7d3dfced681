using Iced.Intel;
using Shinano.Memory;
using Shinano.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary>
/// A small guest for tests: memory, page tables, one engine with its vCPUs, code assembled with Iced. The first frame's number is not 0, so that linear,
/// physical and host addresses all differ.
/// </summary>
public sealed unsafe class GuestProgram : IDisposable
{
    public const ulong FirstFrame = 0x1000;
    public const int FrameCount = 4096;
    public const ulong Code = 0x40_0000;
    public const ulong Data = 0x60_0000;
    public const ulong Stack = 0x7F_0000;
    public const int DataPages = 16;
    public const int CodePages = 8;

    /// <summary>Initial RSP: some room above it too.</summary>
    public const ulong StackTop = Stack + 0x8000;

    private ulong _nextFrame = FirstFrame + 1;

    /// <param name="codeCapacity">Bytes of decoded code that the engine may hold.</param>
    public GuestProgram(CpuFeatures features = (CpuFeatures)ulong.MaxValue, int cpus = 1, long codeCapacity = 1 << 24)
    {
        Memory = new GuestMemory(FirstFrame, FrameCount);
        Memory.AddRam(FirstFrame, FrameCount);
        Engine = TestEngine.Create(Memory, new CpuEngineSettings(GuestKind.Paravirtual, features), codeCapacity);
        for (int i = 0; i < CodePages; i++)
        {
            Map(Code + ((ulong)i << 12), AllocateFrame());
        }

        for (int i = 0; i < DataPages; i++)
        {
            Map(Data + ((ulong)i << 12), AllocateFrame());
            Map(Stack + ((ulong)i << 12), AllocateFrame());
        }

        for (int i = 0; i < cpus; i++)
        {
            VirtualCpu cpu = Engine.CreateVirtualCpu();
            Prepare(cpu.State, i);
            Cpus.Add(cpu);
        }
    }

    public GuestMemory Memory { get; }

    public ICpuEngine Engine { get; }

    public List<VirtualCpu> Cpus { get; } = [];

    public VirtualCpu Cpu => Cpus[0];

    public CpuState* State => Cpu.State;

    /// <summary>The exit of the last run.</summary>
    public CpuExit Exit { get; private set; }

    /// <summary>Machine frame of the top page table.</summary>
    public static ulong Root => FirstFrame;

    public ulong AllocateFrame() => _nextFrame++;

    /// <summary>Maps a page; replaces what was there. Does not flush.</summary>
    public void Map(ulong linear, ulong frame, ulong flags = PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User) =>
        Memory.TryWriteUInt64(EntryAddress(linear), (frame << 12) | flags);

    public void Unmap(ulong linear) => Memory.TryWriteUInt64(EntryAddress(linear), 0);

    /// <summary>Physical address of the L1 entry of a page; makes the tables above it.</summary>
    public ulong EntryAddress(ulong linear)
    {
        ulong table = Root << 12;
        for (int level = 4; level > 1; level--)
        {
            ulong at = table + ((ulong)PageTableEntry.Index(linear, level) * 8);
            Memory.TryReadUInt64(at, out ulong entry);
            if ((entry & PageTableEntry.Present) == 0)
            {
                entry = (AllocateFrame() << 12) | PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User;
                Memory.TryWriteUInt64(at, entry);
            }

            table = entry & PageTableEntry.AddressMask;
        }

        return table + ((ulong)PageTableEntry.Index(linear, 1) * 8);
    }

    /// <summary>Physical address behind a mapped linear one.</summary>
    public ulong Physical(ulong linear)
    {
        Memory.TryReadUInt64(EntryAddress(linear), out ulong entry);
        return (entry & PageTableEntry.AddressMask) | (linear & 0xFFF);
    }

    /// <summary>Writes guest memory as a device would.</summary>
    public void Write(ulong linear, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int chunk = Math.Min(bytes.Length, 4096 - (int)(linear & 0xFFF));
            Assert.True(Memory.TryWrite(Physical(linear), bytes[..chunk]));
            linear += (ulong)chunk;
            bytes = bytes[chunk..];
        }
    }

    public void WriteUInt64(ulong linear, ulong value) => Write(linear, BitConverter.GetBytes(value));

    public byte[] Read(ulong linear, int length)
    {
        byte[] result = new byte[length];
        for (int i = 0; i < length; i++)
        {
            Assert.True(Memory.TryRead(Physical(linear + (ulong)i), result.AsSpan(i, 1)));
        }

        return result;
    }

    public ulong ReadUInt64(ulong linear) => BitConverter.ToUInt64(Read(linear, 8));

    /// <summary>Assembles at an address, ending with SYSCALL.</summary>
    public byte[] Assemble(ulong at, Action<Assembler> write)
    {
        Assembler assembler = new(64);
        write(assembler);
        assembler.syscall();
        using MemoryStream stream = new();
        assembler.Assemble(new StreamCodeWriter(stream), at);
        byte[] bytes = stream.ToArray();
        Write(at, bytes);
        return bytes;
    }

    /// <summary>Assembles at <see cref="Code"/> and runs there until the first exit.</summary>
    public CpuExit Run(Action<Assembler> write, ulong at = Code)
    {
        Assemble(at, write);
        State->Rip = at;
        return Run();
    }

    /// <summary>Runs until the first exit.</summary>
    public CpuExit Run()
    {
        Cpu.Run(out CpuExit exit);
        Exit = exit;
        return exit;
    }

    /// <summary>Runs bytes as they are.</summary>
    public CpuExit RunBytes(params byte[] bytes)
    {
        Write(Code, [.. bytes, 0x0F, 0x05]);
        State->Rip = Code;
        return Run();
    }

    public ref ulong Gpr(AssemblerRegister64 register) => ref State->Gpr[register.Value - Register.RAX];

    /// <summary>A general register by its number in encodings.</summary>
    public ulong GprAt(int number) => State->Gpr[number];

    public ref ulong Rax => ref Gpr(rax);

    public ref ulong Rbx => ref Gpr(rbx);

    public ref ulong Rcx => ref Gpr(rcx);

    public ref ulong Rdx => ref Gpr(rdx);

    public ref ulong Rsp => ref Gpr(rsp);

    public ref ulong Rsi => ref Gpr(rsi);

    public ref ulong Rdi => ref Gpr(rdi);

    /// <summary>The state by reference, for tests without pointers.</summary>
    public ref CpuState StateRef => ref *State;

    public ulong Flags => State->Rflags & Rflags.Arithmetic;

    public static void AssertSyscall(CpuExit exit) => Assert.Equal(CpuExitKind.Syscall, exit.Kind);

    public static void AssertFault(CpuExit exit, ExceptionVector vector, uint errorCode = 0)
    {
        Assert.Equal(CpuExitKind.Exception, exit.Kind);
        Assert.Equal(vector, exit.Vector);
        Assert.Equal(errorCode, exit.ErrorCode);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (VirtualCpu cpu in Cpus)
        {
            cpu.Dispose();
        }

        Engine.Dispose();
        Memory.Dispose();
    }

    /// <summary>A PV vCPU at CPL 3 in 64-bit mode, everything enabled that a guest could enable.</summary>
    public static void Prepare(CpuState* state, int number)
    {
        RegisterTable.Reset(state);
        state->Rip = Code;
        state->Gpr[2] = 0;
        state->Gpr[4] = StackTop - ((ulong)number * 0x1000);
        state->Rflags = 0x202;
        state->Cpl = 3;
        state->Cr0 = 0x8001_0033;
        state->Cr3 = Root << 12;
        state->Cr4 = (1 << 5) | (1 << 9) | (1 << 10) | (1 << 16) | (1 << 18);
        state->Efer = 0xD01;
        state->Xcr0 = 7;
        state->Cs = new SegmentRegister { Selector = 0xE033, Limit = uint.MaxValue, Attributes = 0xA0FB };
        state->Ss = new SegmentRegister { Selector = 0xE02B, Limit = uint.MaxValue, Attributes = 0xC0F3 };
    }
}
