using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

public sealed unsafe class SmpTests
{
    private const ulong Code = GuestProgram.Code;
    private const ulong Data = GuestProgram.Data;

    [Fact]
    public void LockedCountersLoseNothing()
    {
        using GuestProgram guest = new(cpus: 4);
        const int Rounds = 20_000;
        guest.Assemble(Code, a =>
        {
            Label loop = a.CreateLabel();
            Label again = a.CreateLabel();
            a.Label(ref loop);
            a.@lock.inc(__dword_ptr[rsi]);
            a.mov(eax, 1);
            a.@lock.xadd(__qword_ptr[rsi + 8], rax);
            a.@lock.add(__word_ptr[rsi + 16], 1);
            a.@lock.adc(__qword_ptr[rsi + 24], 1);
            a.mov(rax, __qword_ptr[rsi + 32]);
            a.Label(ref again);
            a.lea(rbx, __[rax + 1]);
            a.@lock.cmpxchg(__qword_ptr[rsi + 32], rbx);
            a.jne(again);
            a.@lock.inc(__qword_ptr[rsi + 0xFFC]);
            a.dec(ecx);
            a.jne(loop);
        });
        foreach (VirtualCpu cpu in guest.Cpus)
        {
            cpu.State->Gpr[1] = Rounds;
            cpu.State->Gpr[6] = Data;
        }

        RunAll(guest, kicks: true);
        ulong total = (ulong)(Rounds * guest.Cpus.Count);
        Assert.Equal(total, guest.ReadUInt64(Data) & uint.MaxValue);
        Assert.Equal(total, guest.ReadUInt64(Data + 8));
        Assert.Equal(total & 0xFFFF, guest.ReadUInt64(Data + 16) & 0xFFFF);
        Assert.Equal(total, guest.ReadUInt64(Data + 32));
        Assert.Equal(total, guest.ReadUInt64(Data + 0xFFC));
    }

    [Fact]
    public void CodeWrittenByOneCpuIsExecutedByAnother()
    {
        using GuestProgram guest = new(cpus: 2);
        const uint Rounds = 3000;
        ulong function = Code + 0x2000;

        // Writer: patches the immediate, publishes the number, waits for the answer. Reader: waits, calls, answers with what it got.
        guest.Assemble(function, a =>
        {
            a.mov(eax, 0);
            a.ret();
        });
        guest.Assemble(Code, a =>
        {
            Label loop = a.CreateLabel();
            Label wait = a.CreateLabel();
            a.Label(ref loop);
            a.inc(ebx);
            a.mov(__dword_ptr[function + 1], ebx);
            a.mov(__dword_ptr[rsi], ebx);
            a.Label(ref wait);
            a.pause();
            a.cmp(__dword_ptr[rsi + 64], ebx);
            a.jne(wait);
            a.cmp(ebx, (int)Rounds);
            a.jne(loop);
        });
        guest.Assemble(Code + 0x1000, a =>
        {
            Label loop = a.CreateLabel();
            Label wait = a.CreateLabel();
            Label bad = a.CreateLabel();
            a.Label(ref loop);
            a.inc(ebx);
            a.Label(ref wait);
            a.pause();
            a.cmp(__dword_ptr[rsi], ebx);
            a.jne(wait);
            a.call(function);
            a.cmp(eax, ebx);
            a.jne(bad);
            a.mov(__dword_ptr[rsi + 64], eax);
            a.cmp(ebx, (int)Rounds);
            a.jne(loop);
            a.syscall();
            a.Label(ref bad);
            a.ud2();
        });
        for (int i = 0; i < 2; i++)
        {
            guest.Cpus[i].State->Gpr[6] = Data;
            guest.Cpus[i].State->Gpr[3] = 0;
            guest.Cpus[i].State->Rip = Code + ((ulong)i * 0x1000);
        }

        RunAll(guest, kicks: false);
        Assert.Equal(Rounds, guest.ReadUInt64(Data) & uint.MaxValue);
    }

    /// <summary>A device writes beside the code, and makes all code of the page be dropped, at any moment of a loop that patches its own next instruction.</summary>
    [Fact]
    public void CodeThatIsDroppedWhileItRunsStillSeesItsOwnWrites()
    {
        using GuestProgram guest = new();
        const int Turns = 50_000;
        guest.Assemble(Code, a =>
        {
            Label loop = a.CreateLabel();
            a.xor(eax, eax);
            a.Label(ref loop);
            a.mov(__dword_ptr[Code + 10], edi);
            a.add(eax, 0x1000_0000);
            a.inc(edi);
            a.dec(ecx);
            a.jne(loop);
        });
        Assert.Equal(0x1000_0000, BitConverter.ToInt32(guest.Read(Code + 10, 4)));
        guest.Gpr(rcx) = Turns;
        guest.Gpr(rdi) = 0x1000_0000;
        bool done = false;
        Thread device = new(() =>
        {
            while (!Volatile.Read(ref done))
            {
                guest.Memory.AnnounceWrite(guest.Physical(Code), 4096);
                Thread.Yield();
            }
        });
        device.Start();
        CpuExit exit = guest.Run();
        Volatile.Write(ref done, true);
        device.Join();
        GuestProgram.AssertSyscall(exit);
        uint expected = 0;
        for (uint i = 0; i < Turns; i++)
        {
            expected += 0x1000_0000 + i;
        }

        Assert.Equal(expected, (uint)guest.Rax);
    }

    /// <summary>RDTSCP, and RDTSC behind LFENCE, wait for loads before them (SDM 2B, RDTSC, RDTSCP): what another CPU read before it published it is never later.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AnOrderedTimeStampIsNotEarlierThanOnePublishedBefore(bool rdtscp)
    {
        using GuestProgram guest = new(cpus: 2);
        const int Rounds = 2_000_000;
        guest.Assemble(Code, a =>
        {
            Label loop = a.CreateLabel();
            Label inOrder = a.CreateLabel();
            a.Label(ref loop);
            a.mov(r8, __qword_ptr[rsi]);
            if (rdtscp)
            {
                a.rdtscp();
            }
            else
            {
                a.lfence();
                a.rdtsc();
            }

            a.shl(rdx, 32);
            a.or(rax, rdx);
            a.cmp(rax, r8);
            a.jae(inOrder);
            a.inc(rbx);
            a.Label(ref inOrder);
            a.mov(__qword_ptr[rsi], rax);
            a.dec(edi);
            a.jne(loop);
        });
        foreach (VirtualCpu cpu in guest.Cpus)
        {
            cpu.State->Gpr[3] = 0;
            cpu.State->Gpr[6] = Data;
            cpu.State->Gpr[7] = Rounds;
        }

        RunAll(guest, kicks: false);
        Assert.All(guest.Cpus, cpu => Assert.Equal(0UL, cpu.State->Gpr[3]));
    }

    [Fact]
    public void An_owner_who_is_called_comes_before_any_further_guest_code()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code, a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            a.inc(__qword_ptr[rsi]);
            a.jmp(loop);
        });
        guest.Cpu.State->Gpr[6] = Data;
        long exits = 0;
        bool takes = false;
        bool ends = false;
        CpuExitKind last = CpuExitKind.Kicked;
        Thread owner = new(() =>
        {
            while (!Volatile.Read(ref ends) && last == CpuExitKind.Kicked)
            {
                guest.Cpu.Run(out CpuExit exit);
                last = exit.Kind;
                if (Volatile.Read(ref takes))
                {
                    guest.Cpu.TakeCall();
                }

                Interlocked.Increment(ref exits);
            }
        });
        owner.Start();
        try
        {
            Await(() => guest.ReadUInt64(Data) > 1000);
            guest.Cpu.CallOwner();
            guest.Cpu.WaitUntilHeeded();
            ulong stopped = guest.ReadUInt64(Data);
            long before = Interlocked.Read(ref exits);
            Await(() => Interlocked.Read(ref exits) > before + 1000);
            Assert.Equal(stopped, guest.ReadUInt64(Data));
            Volatile.Write(ref takes, true);
            Await(() => guest.ReadUInt64(Data) > stopped);
        }
        finally
        {
            Volatile.Write(ref ends, true);
            guest.Cpu.Kick();
            owner.Join();
        }

        Assert.Equal(CpuExitKind.Kicked, last);

        // Far longer than it takes: a fault ends here instead of never.
        static void Await(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromMinutes(1)));
    }

    private static void RunAll(GuestProgram guest, bool kicks)
    {
        CpuExit[] exits = new CpuExit[guest.Cpus.Count];
        Thread[] threads = [.. guest.Cpus.Select((cpu, i) => new Thread(() =>
        {
            do
            {
                cpu.Run(out exits[i]);
            }
            while (exits[i].Kind == CpuExitKind.Kicked);
        }))];
        foreach (Thread thread in threads)
        {
            thread.Start();
        }

        foreach (Thread thread in threads)
        {
            while (!thread.Join(1))
            {
                if (kicks)
                {
                    guest.Cpus[0].Kick();
                    guest.Cpus[1].RequestFlush();
                }
            }
        }

        Assert.All(exits, e => Assert.Equal(CpuExitKind.Syscall, e.Kind));
    }
}
