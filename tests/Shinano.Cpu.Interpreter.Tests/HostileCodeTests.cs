using Shinano.X86;

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary>Arbitrary bytes as code: every run ends with an exit of the closed set, and nothing outside of guest memory is touched.</summary>
public sealed unsafe class HostileCodeTests
{
    private const int Programs = 3000;
    private const int RunsPerProgram = 20;

    [Fact]
    public void RandomBytesEndInAnExit()
    {
        Random random = new(20261123);
        using GuestProgram guest = new();

        // A guard on each side of what the guest may write: the page tables and unmapped frames keep their bytes (accessed and dirty bits aside).
        ulong guard = guest.AllocateFrame();
        guest.Memory.FrameSpan(guard).Fill(0xA5);

        // Endless loops are ended from outside, whenever that happens to be: once for each run, so that the others get to do something.
        bool done = false;
        int runs = 0;
        Thread kicker = new(() =>
        {
            for (int seen = 0; !Volatile.Read(ref done); Thread.Yield())
            {
                int now = Volatile.Read(ref runs);
                if (now != seen)
                {
                    Thread.SpinWait(500);
                    guest.Cpu.Kick();
                    seen = now;
                }
            }
        });
        kicker.IsBackground = true;
        kicker.Start();
        ulong before = guest.Cpu.InstructionCount;
        byte[] code = new byte[64];
        byte[] registers = new byte[16 * 8];
        for (int program = 0; program < Programs; program++)
        {
            random.NextBytes(code);
            if ((program & 1) == 0)
            {
                // Plain random bytes seldom reach two-byte opcodes behind prefixes: plant some.
                code[random.Next(8)] = 0x0F;
                code[random.Next(8)] = (byte)(0x40 + random.Next(16));
            }

            // At the end of the page every second time, so that instructions cross it and chains leave it.
            ulong start = GuestProgram.Code + ((ulong)random.Next(4) << 12) + (ulong)(random.Next(2) == 0 ? 4096 - random.Next(1, 40) : random.Next(4000));
            guest.Write(start, code);
            random.NextBytes(registers);
            for (int i = 0; i < 16; i++)
            {
                ulong value = BitConverter.ToUInt64(registers, i * 8);
                guest.State->Gpr[i] = (value & 3) switch
                {
                    0 => value,
                    1 => GuestProgram.Data + (value >> 48),
                    2 => GuestProgram.Code + ((value >> 40) & 0x7FFF),
                    _ => value >> 56,
                };
            }

            guest.State->Rip = start;
            guest.State->Rflags = 0x202 | ((ulong)random.Next() & Rflags.Arithmetic);
            for (int run = 0; run < RunsPerProgram; run++)
            {
                Volatile.Write(ref runs, runs + 1);
                CpuExit exit = guest.Run();
                Assert.Contains(exit.Kind, Expected);
                if (exit.Kind != CpuExitKind.Kicked)
                {
                    break;
                }
            }
        }

        Volatile.Write(ref done, true);
        kicker.Join();
        Assert.True(guest.Cpu.InstructionCount - before > Programs);
        Assert.Equal(-1, guest.Memory.FrameSpan(guard).IndexOfAnyExcept((byte)0xA5));
        Assert.True(guest.Memory.TryReadUInt64(GuestProgram.Root << 12, out ulong top));
        Assert.NotEqual(0UL, top & PageTableEntry.Present);
    }

    private static readonly CpuExitKind[] Expected = [CpuExitKind.Kicked, CpuExitKind.Syscall, CpuExitKind.Exception, CpuExitKind.Cpuid];
}
