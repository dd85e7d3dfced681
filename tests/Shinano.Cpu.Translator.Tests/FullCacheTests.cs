using Iced.Intel;
using Shinano.Cpu.Interpreter.Tests;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Translator.Tests;

/// <summary>A code cache that is far too small, under several vCPUs: its memory is filled anew while others are still on their way out of it.</summary>
public sealed unsafe class FullCacheTests
{
    private const ulong Code = GuestProgram.Code;
    private const int Functions = 7;
    private const int Rounds = 1000;

    [Fact]
    public void MemoryOfDroppedCodeIsNotFilledAnewUnderARunningCpu()
    {
        using GuestProgram guest = new(cpus: 4, codeCapacity: 81920);
        for (int i = 1; i <= Functions; i++)
        {
            int value = i;
            guest.Assemble(Code + ((ulong)i << 12), a =>
            {
                for (int n = 0; n < 20; n++)
                {
                    Label next = a.CreateLabel();
                    a.add(rax, value);
                    a.test(al, 1);
                    a.jne(next);
                    a.add(rdx, 1);
                    a.Label(ref next);
                    a.push(rax);
                    a.pop(rbx);
                }

                a.ret();
            });
        }

        guest.Assemble(Code, a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            for (int i = 1; i <= Functions; i++)
            {
                a.call(Code + ((ulong)i << 12));
            }

            a.dec(ecx);
            a.jne(loop);
        });
        CpuExit[] exits = new CpuExit[guest.Cpus.Count];
        Thread[] threads = [.. guest.Cpus.Select((cpu, i) => new Thread(() => cpu.Run(out exits[i])))];
        foreach (VirtualCpu cpu in guest.Cpus)
        {
            cpu.State->Gpr[1] = Rounds;
        }

        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.All(exits, GuestProgram.AssertSyscall);
        foreach (VirtualCpu cpu in guest.Cpus)
        {
            Assert.Equal(20UL * Rounds * (Functions * (Functions + 1) / 2), cpu.State->Gpr[0]);
        }

        Assert.True(TestEngine.Counters(guest.Engine).Flushes > 10);
    }
}
