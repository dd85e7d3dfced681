using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary>Probes that are set and cleared while vCPUs are inside the code, and probes all over random programs.</summary>
public sealed unsafe class ProbeSmpTests
{
    private const ulong Code = GuestProgram.Code;
    private const ulong Data = GuestProgram.Data;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void RunningCpusStopAtAProbeThatIsSet(bool withCalls)
    {
        const int Cpus = 3;
        using GuestProgram guest = new(cpus: Cpus);
        ulong function = Code + 0x1000;
        guest.Assemble(function, a =>
        {
            a.inc(__qword_ptr[rsi]);
            a.ret();
        });

        // For ever. RSI is a place of the vCPU's own that shows that it runs.
        guest.Assemble(Code, a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            if (withCalls)
            {
                a.call(function);
            }
            else
            {
                a.inc(__qword_ptr[rsi]);
            }

            a.jmp(loop);
        });
        ulong probe = guest.Physical(withCalls ? function : Code);
        for (int i = 0; i < Cpus; i++)
        {
            guest.Cpus[i].State->Rip = Code;
            guest.Cpus[i].State->Gpr[6] = Data + (64UL * (ulong)i);
        }

        for (int round = 0; round < 30; round++)
        {
            ulong[] before = [.. Enumerable.Range(0, Cpus).Select(i => guest.ReadUInt64(Data + (64UL * (ulong)i)))];
            CpuExit[] exits = new CpuExit[Cpus];
            Thread[] threads = [.. guest.Cpus.Select((cpu, i) => new Thread(() => cpu.Run(out exits[i])))];
            foreach (Thread thread in threads)
            {
                thread.Start();
            }

            // All of them are inside the code before the probe is set.
            for (int i = 0; i < Cpus; i++)
            {
                Assert.True(SpinWait.SpinUntil(() => guest.ReadUInt64(Data + (64UL * (ulong)i)) > before[i] + 100, TimeSpan.FromMinutes(1)));
            }

            Assert.True(guest.Engine.SetProbe(probe));
            foreach (Thread thread in threads)
            {
                Assert.True(thread.Join(TimeSpan.FromMinutes(1)));
            }

            Assert.All(exits, exit => Assert.Equal((CpuExitKind.Probe, probe), (exit.Kind, exit.Address)));
            Assert.All(guest.Cpus, cpu => Assert.Equal(withCalls ? function : Code, cpu.State->Rip));
            Assert.True(guest.Engine.ClearProbe(probe));
        }
    }

    [Fact]
    public void ProbesThatComeAndGoLoseNoInstruction()
    {
        const uint Rounds = 200_000;
        using GuestProgram guest = new(cpus: 2);
        guest.Assemble(Code, a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            a.@lock.inc(__qword_ptr[rsi]);
            a.add(rax, 3);
            a.lea(rbx, __[rbx + rax]);
            a.dec(ecx);
            a.jne(loop);
        });
        long[] met = new long[2];
        CpuExit[] exits = new CpuExit[2];
        Thread[] threads = [.. guest.Cpus.Select((cpu, i) => new Thread(() =>
        {
            do
            {
                cpu.Run(out exits[i]);
                met[i]++;
            }
            while (exits[i].Kind == CpuExitKind.Probe);
        }))];
        for (int i = 0; i < 2; i++)
        {
            guest.Cpus[i].State->Rip = Code;
            guest.Cpus[i].State->Gpr[1] = Rounds;
            guest.Cpus[i].State->Gpr[6] = Data;
        }

        foreach (Thread thread in threads)
        {
            thread.Start();
        }

        // lock inc is 4 bytes, add 4, lea 4, dec 2.
        ulong[] places = [.. ((ulong[])[0, 4, 8, 12, 14]).Select(offset => guest.Physical(Code + offset))];
        for (int i = 0; threads.Any(thread => thread.IsAlive); i++)
        {
            guest.Engine.SetProbe(places[i % places.Length]);
            Thread.Yield();
            guest.Engine.ClearProbe(places[i % places.Length]);
        }

        Assert.All(exits, exit => Assert.Equal(CpuExitKind.Syscall, exit.Kind));
        Assert.Equal(2UL * Rounds, guest.ReadUInt64(Data));
        ulong expected = 3UL * Rounds * (Rounds + 1UL) / 2;
        Assert.All(guest.Cpus, cpu => Assert.Equal((3UL * Rounds, expected), (cpu.State->Gpr[0], cpu.State->Gpr[3])));
        Assert.All(guest.Cpus, cpu => Assert.Equal((5UL * Rounds) + 1, cpu.InstructionCount));
    }

    /// <summary>Against the single step: the same program, with and without probes at some of its instructions.</summary>
    [Fact]
    public void RandomProgramsMeetEachProbeAsOftenAsTheyExecuteTheInstruction()
    {
        for (int seed = 0; seed < 40; seed++)
        {
            using GuestProgram guest = new();
            List<ulong> places = WriteProgram(guest, new Random(seed));
            Dictionary<ulong, int> executed = StepThrough(guest, places, out (ulong, ulong, ulong, ulong) expected);

            // Once over code that exists already, once with probes from the start.
            Start(guest);
            GuestProgram.AssertSyscall(guest.Run());
            Assert.Equal(expected, ResultOf(guest));
            Random random = new(~seed);
            ulong[] probed = [.. places.Where(_ => random.Next(3) == 0)];
            foreach (ulong place in probed)
            {
                Assert.True(guest.Engine.SetProbe(guest.Physical(place)));
            }

            for (int round = 0; round < 2; round++)
            {
                Dictionary<ulong, int> met = [];
                ulong before = guest.Cpu.InstructionCount;
                Start(guest);
                while (guest.Run().Kind == CpuExitKind.Probe)
                {
                    met[guest.StateRef.Rip] = met.GetValueOrDefault(guest.StateRef.Rip) + 1;
                }

                GuestProgram.AssertSyscall(guest.Exit);
                Assert.Equal(expected, ResultOf(guest));
                Assert.Equal((ulong)executed.Values.Sum(), guest.Cpu.InstructionCount - before);
                Assert.Equal(
                    executed.Where(place => probed.Contains(place.Key)).OrderBy(place => place.Key), met.OrderBy(place => place.Key));
            }
        }
    }

    /// <summary>A loop of some functions with forward jumps in them, over two pages.</summary>
    /// <returns>Addresses of all instructions.</returns>
    private static List<ulong> WriteProgram(GuestProgram guest, Random random)
    {
        ulong start = Code + 0xF80;
        byte[] bytes = guest.Assemble(start, a =>
        {
            Label loop = a.CreateLabel();
            Label function = a.CreateLabel();
            Label end = a.CreateLabel();
            a.mov(ecx, 20);
            a.Label(ref loop);
            WriteBody(a, random, 10);
            a.call(function);
            WriteBody(a, random, 10);
            a.dec(ecx);
            a.jne(loop);
            a.jmp(end);
            a.Label(ref function);
            WriteBody(a, random, 10);
            a.ret();
            a.Label(ref end);
            a.nop();
        });
        Decoder decoder = Decoder.Create(64, bytes, start);
        List<ulong> places = [];
        while (decoder.IP < start + (ulong)bytes.Length)
        {
            places.Add(decoder.Decode().IP);
        }

        return places;
    }

    private static void WriteBody(Assembler a, Random random, int length)
    {
        for (int i = 0; i < length; i++)
        {
            switch (random.Next(8))
            {
                case 0:
                    Label skip = a.CreateLabel();
                    a.test(eax, random.Next(1, 256));
                    a.jne(skip);
                    a.add(rbx, rax);
                    a.Label(ref skip);
                    a.adc(rdx, 1);
                    break;
                case 1:
                    a.mov(__qword_ptr[rsi + random.Next(64)], rax);
                    break;
                case 2:
                    a.xor(rax, __qword_ptr[rsi + random.Next(64)]);
                    break;
                case 3:
                    a.push(rbx);
                    a.pop(rdx);
                    break;
                case 4:
                    a.imul(rax, rax, random.Next());
                    break;
                case 5:
                    a.sbb(rbx, rdx);
                    break;
                case 6:
                    a.xchg(rax, rbx);
                    break;
                default:
                    a.add(rax, random.Next());
                    break;
            }
        }
    }

    private static Dictionary<ulong, int> StepThrough(GuestProgram guest, List<ulong> places, out (ulong A, ulong B, ulong C, ulong D) result)
    {
        Dictionary<ulong, int> executed = [];
        Start(guest);
        do
        {
            guest.StateRef.Rflags |= 1 << 8;
            ulong rip = guest.StateRef.Rip;
            Assert.Contains(rip, places);
            executed[rip] = executed.GetValueOrDefault(rip) + 1;
        }
        while (guest.Run().Kind == CpuExitKind.Exception);
        GuestProgram.AssertSyscall(guest.Exit);
        result = ResultOf(guest);
        return executed;
    }

    private static void Start(GuestProgram guest)
    {
        guest.StateRef.Rip = Code + 0xF80;
        guest.StateRef.Rflags = 0x202;
        guest.Rax = 12345;
        guest.Rbx = 1;
        guest.Rdx = 2;
        guest.Rsi = Data;
        guest.Write(Data, new byte[128]);
    }

    private static (ulong A, ulong B, ulong C, ulong D) ResultOf(GuestProgram guest) =>
        (guest.Rax, guest.Rbx, guest.Rdx, guest.Flags | (guest.ReadUInt64(Data + 13) << 16));
}
