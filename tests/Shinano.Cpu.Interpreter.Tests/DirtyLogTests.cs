using Iced.Intel;
using Shinano.Memory;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary>What a migration relies on: a page whose bytes changed is in the log, whoever wrote it and however.</summary>
public sealed unsafe class DirtyLogTests
{
    private const ulong Area = 0x100_0000;
    private const int Pages = 64;
    private const ulong Function = GuestProgram.Code + 0x2000;
    private const int Rounds = 150;

    /// <summary>Ways to write at RDI, which may cross a page there. RAX, RBX and RCX may be read; RAX and RCX are free.</summary>
    private static readonly Action<Assembler>[] Stores =
    [
        a => a.mov(__byte_ptr[rdi], bl),
        a => a.mov(__dword_ptr[rdi], ebx),
        a => a.mov(__qword_ptr[rdi], rbx),
        a => a.@lock.xadd(__qword_ptr[rdi], rax),
        a => a.xchg(__qword_ptr[rdi], rax),
        a => a.add(__word_ptr[rdi], bx),
        a => a.movups(__xmmword_ptr[rdi], xmm0),
        a =>
        {
            // The bit may lie in any byte near the operand.
            a.and(eax, 0x7FFF);
            a.bts(__dword_ptr[rdi], eax);
        },
        a =>
        {
            a.mov(rsp, rdi);
            a.push(rbx);
            a.push(rax);
        },
        a =>
        {
            a.mov(ecx, ebx);
            a.and(ecx, 0x1FFF);
            a.rep.stosb();
        },
        a =>
        {
            a.or(edi, 0xFFC);
            a.mov(__qword_ptr[rdi], rbx);
        },
        a =>
        {
            // A page that holds code has no entry for writing. The return address is where no other vCPU writes.
            a.mov(rsp, r8);
            a.call(Function);
            a.mov(__byte_ptr[Function + 0x800], bl);
        },
    ];

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(3, 4)]
    public void Every_page_that_changed_between_rounds_is_in_the_log(int seed, int cpus)
    {
        using GuestProgram guest = Prepare(new Random(seed), cpus);
        GuestMemory memory = guest.Memory;
        DirtyLog log = memory.BeginLog();
        Flush(guest);
        byte[] sent = new byte[GuestProgram.FrameCount * GuestMemory.PageSize];
        for (ulong frame = 0; frame < GuestProgram.FrameCount; frame++)
        {
            Send(memory, GuestProgram.FirstFrame + frame, sent);
        }

        bool done = false;
        Thread[] threads = [.. guest.Cpus.Select(cpu => new Thread(() => RunUntil(cpu, ref done))), new Thread(() => WriteUntil(guest, seed, ref done))];
        Array.ForEach(threads, thread => thread.Start());
        long resent = 0;
        for (int round = 0; round < Rounds || resent < 4 * Pages; round++)
        {
            IReadOnlyList<ulong> dirty = log.Take();
            Flush(guest);
            foreach (ulong frame in dirty)
            {
                Send(memory, frame, sent);
            }

            resent += dirty.Count;
        }

        Volatile.Write(ref done, true);
        guest.Cpus.ForEach(cpu => cpu.Kick());
        Array.ForEach(threads, thread => thread.Join());
        HashSet<ulong> left = [.. log.Take(), .. memory.ReferencedFrames()];
        for (ulong frame = GuestProgram.FirstFrame; frame < GuestProgram.FirstFrame + GuestProgram.FrameCount; frame++)
        {
            Assert.True(memory.FrameSpan(frame).SequenceEqual(Place(frame, sent)) || left.Contains(frame), $"frame {frame:x} changed unseen");
        }

        Assert.True(left.Count < GuestProgram.FrameCount / 2, "the log has everything");
    }

    [Fact]
    public void Nothing_is_noted_without_a_log()
    {
        using GuestProgram guest = new();
        DirtyLog log = guest.Memory.BeginLog();
        Assert.Throws<InvalidOperationException>(guest.Memory.BeginLog);
        guest.Memory.EndLog(log);
        GuestProgram.AssertSyscall(guest.Run(a => a.mov(__byte_ptr[GuestProgram.Data], 1)));
        guest.WriteUInt64(GuestProgram.Data, 5);
        Assert.Equal(0, log.Count);
    }

    private static GuestProgram Prepare(Random random, int cpus)
    {
        GuestProgram guest = new(cpus: cpus);
        for (int i = -1; i < Pages + 4; i++)
        {
            guest.Map(Area + ((ulong)(long)i << 12), guest.AllocateFrame());
        }

        guest.Assemble(Function, a => a.ret());
        guest.Assemble(GuestProgram.Code, a =>
        {
            Label loop = a.CreateLabel();
            a.mov(r8, rsp);
            a.Label(ref loop);
            for (int i = 0; i < 40; i++)
            {
                // xorshift64
                a.mov(rax, rbx);
                a.shl(rax, 13);
                a.xor(rbx, rax);
                a.mov(rax, rbx);
                a.shr(rax, 7);
                a.xor(rbx, rax);
                a.mov(rax, rbx);
                a.shl(rax, 17);
                a.xor(rbx, rax);
                a.mov(rdi, rbx);
                a.shr(rdi, 20);
                a.and(edi, (Pages << 12) - 1);
                a.add(rdi, (int)Area);
                Stores[random.Next(Stores.Length)](a);
            }

            a.jmp(loop);
        });
        for (int i = 0; i < cpus; i++)
        {
            guest.Cpus[i].State->Gpr[3] = (ulong)random.NextInt64() | 1;
        }

        return guest;
    }

    private static void RunUntil(VirtualCpu cpu, ref bool done)
    {
        while (!Volatile.Read(ref done))
        {
            cpu.Run(out CpuExit exit);
            Assert.True(exit.Kind == CpuExitKind.Kicked, $"{exit.Kind} {exit.Vector} at {cpu.State->Rip:x}");
        }
    }

    /// <summary>The host's own ways to write.</summary>
    private static void WriteUntil(GuestProgram guest, int seed, ref bool done)
    {
        Random random = new(seed + 100);
        ulong page = guest.Physical(Area - 0x1000);
        ulong other = guest.Physical(GuestProgram.Data);
        while (!Volatile.Read(ref done))
        {
            ulong at = guest.Physical(GuestProgram.Data + ((ulong)random.Next(1, GuestProgram.DataPages) << 12)) + ((ulong)random.Next(500) * 8);
            guest.Memory.TryWrite(at, BitConverter.GetBytes(random.Next()));
            guest.Memory.TryWriteUInt64(page + ((ulong)random.Next(500) * 8), (ulong)random.NextInt64());
            guest.Memory.TryCompareExchange(page, (ulong)random.NextInt64(), 0, out _);
            Interlocked.Increment(ref guest.Memory.Shared<long>(other));
            Thread.Yield();
        }
    }

    private static void Flush(GuestProgram guest)
    {
        guest.Cpus.ForEach(cpu => cpu.RequestFlush());
        guest.Cpus.ForEach(cpu => cpu.WaitUntilHeeded());
    }

    private static void Send(GuestMemory memory, ulong frame, byte[] sent) => memory.FrameSpan(frame).CopyTo(Place(frame, sent));

    private static Span<byte> Place(ulong frame, byte[] sent) =>
        sent.AsSpan((int)(frame - GuestProgram.FirstFrame) * GuestMemory.PageSize, GuestMemory.PageSize);
}
