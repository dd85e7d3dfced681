using CsCheck;
using Iced.Intel;
using Shinano.Cpu;
using Shinano.Cpu.Interpreter;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Tests.Building;
using Shinano.X86;
using Shinano.XenAbi;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Hypervisor.Tests.Mmu;

/// <summary>Emulated writes to L1 tables against the same instruction executed by the interpreter on ordinary memory.</summary>
public sealed unsafe class PageTableWriteEmulatorTests
{
    private const PageFaultErrors WriteFault = PageFaultErrors.Present | PageFaultErrors.Write | PageFaultErrors.User;

    private static readonly Action<Assembler, int>[] Instructions =
    [
        (c, o) => c.mov(__qword_ptr[rdi + o], rax),
        (c, o) => c.mov(__dword_ptr[rdi + o], ebx),
        (c, o) => c.mov(__word_ptr[rdi + o], cx),
        (c, o) => c.mov(__byte_ptr[rdi + o], dh),
        (c, o) => c.mov(__qword_ptr[rdi + o], -0x123456),
        (c, o) => c.mov(__byte_ptr[rdi + o], 0x54),
        (c, o) => c.movnti(__qword_ptr[rdi + o], r9),
        (c, o) => c.xchg(__qword_ptr[rdi + o], rax),
        (c, o) => c.xchg(__dword_ptr[rdi + o], edx),
        (c, o) => c.xchg(__byte_ptr[rdi + o], bh),
        (c, o) => c.@lock.cmpxchg(__qword_ptr[rdi + o], rbx),
        (c, o) => c.@lock.cmpxchg(__dword_ptr[rdi + o], ecx),
        (c, o) => c.cmpxchg(__byte_ptr[rdi + o], dl),
        (c, o) => c.@lock.xadd(__qword_ptr[rdi + o], rbx),
        (c, o) => c.xadd(__word_ptr[rdi + o], ax),
        (c, o) => c.@lock.and(__byte_ptr[rdi + o], 0xFC),
        (c, o) => c.@lock.and(__qword_ptr[rdi + o], rbx),
        (c, o) => c.or(__dword_ptr[rdi + o], 0x12345678),
        (c, o) => c.xor(__qword_ptr[rdi + o], -2),
        (c, o) => c.add(__qword_ptr[rdi + o], rbx),
        (c, o) => c.adc(__dword_ptr[rdi + o], eax),
        (c, o) => c.sub(__word_ptr[rdi + o], bx),
        (c, o) => c.sbb(__byte_ptr[rdi + o], al),
        (c, o) => c.inc(__qword_ptr[rdi + o]),
        (c, o) => c.dec(__dword_ptr[rdi + o]),
        (c, o) => c.neg(__qword_ptr[rdi + o]),
        (c, o) => c.not(__byte_ptr[rdi + o]),
        (c, o) => c.@lock.btr(__qword_ptr[rdi + o], 1),
        (c, o) => c.@lock.bts(__dword_ptr[rdi + o], 37),
        (c, o) => c.btc(__word_ptr[rdi + o], 9),
        (c, o) => c.@lock.btr(__qword_ptr[rdi + o], rsi),
        (c, o) => c.bts(__dword_ptr[rdi + o], esi),
        (c, o) => c.mov(__qword_ptr[rdi + (r12 * 8) + o], r10),
    ];

    [Fact]
    public void Emulation_does_what_the_cpu_does_on_ordinary_memory()
    {
        using Pair pair = new();
        Gen.Select(Gen.Int[0, Instructions.Length - 1], Gen.Int[0, 12], Gen.ULong.Array[16], Gen.ULong.Array[4], Gen.Bool).Sample(
            (which, slot, registers, words, equal) =>
            {
                Span<ulong> values = stackalloc ulong[16];
                registers.CopyTo(values);

                // Present entries would be checked; the low bit of the words stays clear before and, mostly, after.
                ulong[] content = [.. words.Select(w => w & ~1UL)];
                values[0] = equal ? content[0] : values[0];
                values[6] &= 63 + 64;
                values[12] &= 1;
                pair.Run(c => Instructions[which](c, slot * 8), slot, values, content);
            },
            iter: 3000,
            threads: 1);
    }

    [Fact]
    public void Present_entries_are_checked_and_adjusted()
    {
        using Pair pair = new();
        BuiltGuest guest = pair.Guest;
        ulong target = guest.FrameAt(guest.MappedPage(5));
        guest.Vcpu.State->Gpr[0] = (target << 12) | PageTableEntry.Present;
        Assert.True(pair.Emulate(c => c.mov(__qword_ptr[rdi], rax)));
        Assert.Equal((target << 12) | PageTableEntry.Present | PageTableEntry.User | (1UL << 52), guest.Peek(pair.Table, 0));
        Assert.Equal(2u, guest.Info(target).References);
        Assert.True(pair.Emulate(c => c.@lock.and(__byte_ptr[rdi], 0xFE)));
        Assert.Equal(1u, guest.Info(target).References);

        // An L1 table mapped writable, and a frame that is not the guest's.
        guest.Vcpu.State->Gpr[0] = (pair.Table << 12) | PageTableEntry.Present | PageTableEntry.Writable;
        Assert.False(pair.Emulate(c => c.mov(__qword_ptr[rdi], rax)));
        guest.Vcpu.State->Gpr[0] = (guest.Space.FirstM2PFrame << 12) | PageTableEntry.Present;
        Assert.False(pair.Emulate(c => c.xchg(__qword_ptr[rdi], rax)));
        MmuInvariants.Check(guest);
    }

    [Fact]
    public void What_is_no_write_to_an_l1_table_is_the_guests_fault()
    {
        using Pair pair = new();
        BuiltGuest guest = pair.Guest;
        Assert.False(pair.Emulate(c => c.mov(__qword_ptr[rdi + 4], rax)));
        Assert.False(pair.Emulate(c => c.mov(__qword_ptr[rdi + 0x1000], rax)));
        Assert.False(pair.Emulate(c => c.mov(rax, __qword_ptr[rdi])));
        Assert.False(pair.Emulate(c => c.movups(__xmmword_ptr[rdi], xmm0)));
        Assert.False(pair.Emulate(c => c.shl(__qword_ptr[rdi], 1)));
        Assert.False(pair.Emulate(c => c.cmpxchg16b(__xmmword_ptr[rdi])));
        Assert.False(pair.Emulate(c => c.ud2()));
        Assert.True(pair.Emulate(c => c.mov(__qword_ptr[rdi], 0)));
        guest.Vcpu.SwitchMode(toKernel: false);
        Assert.False(pair.Emulator.TryEmulate(guest.Vcpu, pair.TableAddress, WriteFault));
        guest.Vcpu.SwitchMode(toKernel: true);
        Assert.False(pair.Emulator.TryEmulate(guest.Vcpu, guest.MappedPage(6), WriteFault));
        Assert.False(pair.Emulator.TryEmulate(guest.Vcpu, pair.TableAddress, PageFaultErrors.Write));
        guest.Vcpu.State->Rip = 0x10_0000_0000;
        Assert.False(pair.Emulator.TryEmulate(guest.Vcpu, pair.TableAddress, WriteFault));
    }

    /// <summary>A guest with an L1 table of its own mapped read-only at one page, and ordinary memory at another.</summary>
    private sealed class Pair : IDisposable
    {
        public Pair()
        {
            InterpreterEngine? engine = null;
            Guest = new BuiltGuest(pages: 1200, cpu: memory =>
            {
                engine ??= new InterpreterEngine(memory, new CpuEngineSettings(GuestKind.Paravirtual, CpuFeatures.None));
                return engine.CreateVirtualCpu();
            });
            Guest.Engine = engine;
            TableAddress = Guest.MappedPage(0);
            Table = Guest.FrameAt(TableAddress);
            Assert.Equal(0, Guest.UpdateVa(TableAddress, (Table << 12) | PageTableEntry.Present));
            Assert.Equal(0, Guest.Extended(MmuExtendedCommand.PinL1Table, Table));
            Emulator = new PageTableWriteEmulator(Guest.Mmu);
        }

        public BuiltGuest Guest { get; }

        public PageTableWriteEmulator Emulator { get; }

        public ulong TableAddress { get; }

        public ulong Table { get; }

        private ulong MemoryAddress => Guest.MappedPage(1);

        private ulong Code => Guest.Kernel.Entry;

        /// <summary>Emulates one instruction with RDI at the table.</summary>
        public bool Emulate(Action<Assembler> instruction)
        {
            Assemble(instruction);
            CpuState* state = Guest.Vcpu.State;
            state->Gpr[7] = TableAddress;
            state->Rip = Code;
            return Emulator.TryEmulate(Guest.Vcpu, TableAddress, WriteFault);
        }

        /// <summary>Executes an instruction both ways and compares, unless emulation refuses because the result would be a present entry.</summary>
        public void Run(Action<Assembler> instruction, int slot, ReadOnlySpan<ulong> registers, ReadOnlySpan<ulong> words)
        {
            int length = Assemble(instruction);
            CpuState* state = Guest.Vcpu.State;
            for (int i = 0; i < words.Length; i++)
            {
                Guest.Poke(Guest.FrameAt(MemoryAddress), slot + i, words[i]);
                Assert.Equal(0, Guest.MmuUpdate((Table << 12) + ((ulong)(slot + i) * 8), words[i]));
            }

            ulong stack = state->Gpr[4];
            Load(state, registers, MemoryAddress, stack);
            state->Rflags = Rflags.AlwaysOne | Rflags.Interrupt | (registers[1] & Rflags.Arithmetic);
            ulong flags = state->Rflags;
            Guest.Vcpu.HeedCall();
            Guest.Vcpu.Cpu.Run(out CpuExit exit);
            Assert.Equal(CpuExitKind.Exception, exit.Kind);
            Assert.Equal(ExceptionVector.InvalidOpcode, exit.Vector);
            Assert.Equal(Code + (ulong)length, state->Rip);
            ulong[] expected = new Span<ulong>(state->Gpr, 16).ToArray();
            ulong expectedFlags = state->Rflags;

            Load(state, registers, TableAddress, stack);
            state->Rflags = flags;
            bool done = Emulator.TryEmulate(Guest.Vcpu, TableAddress, WriteFault);
            bool anyPresent = false;
            for (int i = 0; i < words.Length; i++)
            {
                anyPresent |= (Guest.Peek(Guest.FrameAt(MemoryAddress), slot + i) & PageTableEntry.Present) != 0;
            }

            Assert.True(done || anyPresent);
            if (!done)
            {
                return;
            }

            expected[7] = expected[7] - MemoryAddress + TableAddress;
            Assert.Equal(expected, new Span<ulong>(state->Gpr, 16).ToArray());
            Assert.Equal(Code + (ulong)length, state->Rip);
            Assert.Equal(expectedFlags, state->Rflags);
            if (anyPresent)
            {
                // By chance an entry that the guest may have: it was checked and marked, not stored as it is.
                return;
            }

            for (int i = 0; i < words.Length; i++)
            {
                Assert.Equal(Guest.Peek(Guest.FrameAt(MemoryAddress), slot + i), Guest.Peek(Table, slot + i));
            }
        }

        public void Dispose() => Guest.Dispose();

        private void Load(CpuState* state, ReadOnlySpan<ulong> registers, ulong destination, ulong stack)
        {
            for (int i = 0; i < 16; i++)
            {
                state->Gpr[i] = registers[i];
            }

            state->Gpr[4] = stack;
            state->Gpr[7] = destination;
            state->Rip = Code;
        }

        private int Assemble(Action<Assembler> instruction)
        {
            Assembler assembler = new(64);
            instruction(assembler);
            MemoryStream bytes = new();
            assembler.Assemble(new StreamCodeWriter(bytes), Code);
            int length = (int)bytes.Length;

            // UD2 ends the run.
            bytes.Write([0x0F, 0x0B]);
            Assert.True(Guest.Memory.TryWrite(Guest.FrameAt(Code) << 12, bytes.ToArray()));
            return length;
        }
    }
}
