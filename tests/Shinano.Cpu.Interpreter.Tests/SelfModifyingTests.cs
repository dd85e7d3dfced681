using Iced.Intel;
using Shinano.Memory;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

public sealed class SelfModifyingTests
{
    private const ulong Code = GuestProgram.Code;

    [Fact]
    public void AnInstructionMayChangeTheNextOne()
    {
        using GuestProgram guest = new();

        // The store goes to the immediate of the mov that follows it in the same block; executed twice to meet decoded code.
        for (int round = 1; round < 4; round++)
        {
            guest.Rbx = (ulong)round;
            guest.StateRef.Rip = Code;
            GuestProgram.AssertSyscall(guest.Run(a =>
            {
                a.mov(__dword_ptr[Code + 8], ebx);
                a.mov(eax, 0);
            }));
            Assert.Equal((ulong)round, guest.Rax);
            guest.StateRef.Rip = Code;
            guest.Rbx = 100UL + (ulong)round;
            GuestProgram.AssertSyscall(guest.Run());
            Assert.Equal(100UL + (ulong)round, guest.Rax);
        }
    }

    [Fact]
    public void WritesThroughAnotherMappingAreSeen()
    {
        using GuestProgram guest = new();
        ulong alias = 0x5000_0000;
        guest.Map(alias, guest.Physical(Code) >> 12);
        guest.Assemble(Code + 0x800, a =>
        {
            a.mov(eax, 1);
            a.ret();
        });
        guest.Rsi = alias + 0x800;
        guest.Rcx = 5;
        GuestProgram.AssertSyscall(guest.Run(
            a =>
            {
                Label loop = a.CreateLabel();
                a.Label(ref loop);
                a.call(Code + 0x800);
                a.add(rdx, rax);
                a.inc(__dword_ptr[rsi + 1]);
                a.dec(ecx);
                a.jne(loop);
            },
            Code + 0x1000));
        Assert.Equal(1UL + 2 + 3 + 4 + 5, guest.Rdx);
    }

    [Fact]
    public void WritesByDevicesAreSeen()
    {
        using GuestProgram guest = new();
        for (int i = 0; i < 10; i++)
        {
            int value = i;
            guest.Run(a => a.mov(eax, value));
            Assert.Equal((ulong)i, guest.Rax);
        }

        Assert.True(TestEngine.Counters(guest.Engine).BlocksInvalidated >= 9);
    }

    [Fact]
    public void DataBesideCodeDoesNotDropIt()
    {
        using GuestProgram guest = new();
        guest.Rsi = Code + 0x800;
        guest.Rcx = 50;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            a.inc(__qword_ptr[rsi]);
            a.dec(ecx);
            a.jne(loop);
        }));
        Assert.Equal(50UL, guest.ReadUInt64(Code + 0x800));
        Assert.Equal(0, TestEngine.Counters(guest.Engine).BlocksInvalidated);
        Assert.NotEqual(FrameFlags.None, guest.Memory.FlagsOf(guest.Physical(Code) >> 12) & FrameFlags.Code);
    }

    [Fact]
    public void HotDataBesideCodeBecomesFastAgain()
    {
        using GuestProgram guest = new();
        guest.Assemble(Code + 0x1000, a => a.nop());
        guest.StateRef.Rip = Code + 0x1000;
        guest.Run();
        guest.Rsi = Code + 0x1800;
        guest.Rcx = 1000;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            a.inc(__qword_ptr[rsi]);
            a.dec(ecx);
            a.jne(loop);
        }));
        Assert.Equal(1000UL, guest.ReadUInt64(Code + 0x1800));
        Assert.Equal(FrameFlags.None, guest.Memory.FlagsOf(guest.Physical(Code + 0x1000) >> 12) & FrameFlags.Code);
        guest.StateRef.Rip = Code + 0x1000;
        GuestProgram.AssertSyscall(guest.Run());
    }

    [Fact]
    public void APageThatIsRewrittenOverAndOverDoesNotGrowTheCache()
    {
        using GuestProgram guest = new();
        for (int i = 0; i < 20000; i++)
        {
            guest.Write(Code + 1, BitConverter.GetBytes(i));
            if (i == 0)
            {
                guest.Run(a => a.mov(eax, 0));
                continue;
            }

            guest.StateRef.Rip = Code;
            guest.Run();
            Assert.Equal((ulong)i, guest.Rax);
        }
    }

    [Fact]
    public void AFreedFrameLosesItsCode()
    {
        using GuestProgram guest = new();
        guest.Run(a => a.nop());
        ulong frame = guest.Physical(Code) >> 12;
        guest.Memory.RemoveRam(frame);
        Assert.Equal(FrameFlags.None, guest.Memory.FlagsOf(frame));
        Assert.Equal(1, TestEngine.Counters(guest.Engine).BlocksInvalidated);
    }

    [Fact]
    public void AFullCacheIsDroppedAndFilledAnew()
    {
        using GuestProgram guest = new(codeCapacity: 40_000);
        ulong expected = 0;
        for (int round = 0; round < 20; round++)
        {
            for (int page = 0; page < GuestProgram.CodePages; page++)
            {
                if (round == 0)
                {
                    int value = page + 1;
                    guest.Assemble(Code + ((ulong)page << 12), a =>
                    {
                        Label loop = a.CreateLabel();
                        a.mov(ecx, 3);
                        a.Label(ref loop);
                        for (int n = 0; n < 10; n++)
                        {
                            a.add(rax, value);
                            a.push(rax);
                            a.pop(rdx);
                        }

                        a.dec(ecx);
                        a.jne(loop);
                    });
                }

                guest.StateRef.Rip = Code + ((ulong)page << 12);
                GuestProgram.AssertSyscall(guest.Run());
                expected += 30 * (ulong)(page + 1);
            }
        }

        Assert.Equal(expected, guest.Rax);
        Assert.True(TestEngine.Counters(guest.Engine).Flushes > 1);
    }
}
