using Iced.Intel;
using Shinano.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

public sealed class ArithmeticTests
{
    [Theory]
    [InlineData(0xFFFF_FFFF_FFFF_FFFF, 1, 0UL, Rflags.Carry | Rflags.Zero | Rflags.Adjust | Rflags.Parity)]
    [InlineData(0x7FFF_FFFF_FFFF_FFFF, 1, 0x8000_0000_0000_0000, Rflags.Overflow | Rflags.Sign | Rflags.Adjust | Rflags.Parity)]
    [InlineData(1, 2, 3UL, Rflags.Parity)]
    public void AddSetsItsFlags(ulong left, ulong right, ulong result, ulong flags)
    {
        using GuestProgram guest = new();
        guest.Rax = left;
        guest.Rbx = right;
        GuestProgram.AssertSyscall(guest.Run(a => a.add(rax, rbx)));
        Assert.Equal(result, guest.Rax);
        Assert.Equal(flags, guest.Flags);
    }

    [Fact]
    public void SubtractionOfBytesBorrows()
    {
        using GuestProgram guest = new();
        guest.Rax = 0xAABB_0000;
        guest.Run(a => a.sub(al, 1));
        Assert.Equal(0xAABB_00FFUL, guest.Rax);
        Assert.Equal(Rflags.Carry | Rflags.Sign | Rflags.Adjust | Rflags.Parity, guest.Flags);
    }

    [Fact]
    public void WritesOf32BitsClearTheUpperHalfAndOthersKeepIt()
    {
        using GuestProgram guest = new();
        guest.Rax = ulong.MaxValue;
        guest.Rbx = ulong.MaxValue;
        guest.Rcx = ulong.MaxValue;
        guest.Run(a =>
        {
            a.mov(eax, 1);
            a.mov(bx, 1);
            a.mov(ch, 1);
        });
        Assert.Equal(1UL, guest.Rax);
        Assert.Equal(0xFFFF_FFFF_FFFF_0001, guest.Rbx);
        Assert.Equal(0xFFFF_FFFF_FFFF_01FF, guest.Rcx);
    }

    [Fact]
    public void EveryByteRegisterIsItsOwn()
    {
        using GuestProgram guest = new();
        AssemblerRegister8[] low = [al, cl, dl, bl, sil, dil, r8b, r9b, r10b, r11b, r12b, r13b, r14b, r15b];
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            for (int i = 0; i < low.Length; i++)
            {
                a.mov(low[i], (sbyte)(i + 1));
            }

            a.mov(ah, 0x21);
            a.mov(ch, 0x22);
            a.mov(dh, 0x23);
            a.mov(bh, 0x24);
        }));
        ulong[] expected = [0x2101, 0x2202, 0x2303, 0x2404, GuestProgram.StackTop, 0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
        for (int i = 0; i < 16; i++)
        {
            Assert.Equal(expected[i], guest.GprAt(i));
        }
    }

    [Fact]
    public void IncrementKeepsTheCarry()
    {
        using GuestProgram guest = new();
        guest.Rax = 0x7FFF_FFFF;
        guest.Rbx = 0;
        guest.Run(a =>
        {
            a.stc();
            a.inc(eax);
            a.pushfq();
            a.clc();
            a.dec(ebx);
        });
        Assert.Equal(Rflags.Carry | Rflags.Overflow | Rflags.Sign | Rflags.Adjust | Rflags.Parity, guest.ReadUInt64(guest.Rsp) & Rflags.Arithmetic);
        Assert.Equal(Rflags.Sign | Rflags.Adjust | Rflags.Parity, guest.Flags);
    }

    [Fact]
    public void AdcAndSbbChainAcross128Bits()
    {
        using GuestProgram guest = new();
        UInt128 left = new(0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210);
        UInt128 right = new(0x1111_1111_1111_1111, 0x2222_2222_2222_2222);
        guest.Rax = (ulong)left;
        guest.Rdx = (ulong)(left >> 64);
        guest.Rbx = (ulong)right;
        guest.Rcx = (ulong)(right >> 64);
        guest.Run(a =>
        {
            a.mov(rsi, rax);
            a.mov(rdi, rdx);
            a.add(rax, rbx);
            a.adc(rdx, rcx);
            a.sub(rsi, rbx);
            a.sbb(rdi, rcx);
        });
        Assert.Equal(left + right, new UInt128(guest.Rdx, guest.Rax));
        Assert.Equal(left - right, new UInt128(guest.Rdi, guest.Rsi));
    }

    [Fact]
    public void DivisionByZeroAndOverflowFaultAndCommitNothing()
    {
        using GuestProgram guest = new();
        guest.Rax = 5;
        guest.Rdx = 7;
        guest.Rcx = 0;
        GuestProgram.AssertFault(guest.Run(a => a.div(rcx)), ExceptionVector.DivideError);
        guest.Rcx = 7;
        GuestProgram.AssertFault(guest.Run(a => a.div(rcx)), ExceptionVector.DivideError);
        Assert.Equal(5UL, guest.Rax);
        Assert.Equal(7UL, guest.Rdx);
        guest.Rax = 0x8000_0000_0000_0000;
        guest.Rdx = ulong.MaxValue;
        guest.Rcx = ulong.MaxValue;
        GuestProgram.AssertFault(guest.Run(a => a.idiv(rcx)), ExceptionVector.DivideError);
        Assert.Equal(3, guest.Exit.InstructionLength);
    }

    [Fact]
    public void WideDivisionIsExact()
    {
        using GuestProgram guest = new();
        UInt128 dividend = new(0x1234_5678, 0x9ABC_DEF0_1234_5678);
        guest.Rax = (ulong)dividend;
        guest.Rdx = (ulong)(dividend >> 64);
        guest.Rcx = 0x9999_9999_9999;
        GuestProgram.AssertSyscall(guest.Run(a => a.div(rcx)));
        Assert.Equal((ulong)(dividend / 0x9999_9999_9999), guest.Rax);
        Assert.Equal((ulong)(dividend % 0x9999_9999_9999), guest.Rdx);
        guest.Rax = unchecked((ulong)-100);
        guest.Rdx = ulong.MaxValue;
        guest.Rcx = 7;
        GuestProgram.AssertSyscall(guest.Run(a => a.idiv(rcx)));
        Assert.Equal(-14, (long)guest.Rax);
        Assert.Equal(-2, (long)guest.Rdx);
    }

    [Fact]
    public void MultiplicationTellsWhetherItFits()
    {
        using GuestProgram guest = new();
        guest.Rax = ulong.MaxValue;
        guest.Rbx = 2;
        guest.Run(a => a.mul(rbx));
        Assert.Equal(ulong.MaxValue - 1, guest.Rax);
        Assert.Equal(1UL, guest.Rdx);
        Assert.Equal(Rflags.Carry | Rflags.Overflow, guest.Flags & (Rflags.Carry | Rflags.Overflow));
        guest.Rbx = 0x10000;
        guest.Run(a => a.imul(ebx, ebx, 0x10000));
        Assert.Equal(0UL, guest.Rbx);
        Assert.Equal(Rflags.Carry | Rflags.Overflow, guest.Flags & (Rflags.Carry | Rflags.Overflow));
    }

    [Fact]
    public void ShiftsByZeroLeaveTheFlags()
    {
        using GuestProgram guest = new();
        guest.Rcx = 64;
        guest.Rax = 5;
        guest.StateRef.Rflags = 0x202 | Rflags.Carry | Rflags.Zero | Rflags.Overflow;
        guest.Run(a => a.shl(rax, cl));
        Assert.Equal(5UL, guest.Rax);
        Assert.Equal(Rflags.Carry | Rflags.Zero | Rflags.Overflow, guest.Flags);
    }

    [Fact]
    public void RotationsThroughCarry()
    {
        using GuestProgram guest = new();
        guest.Rax = 0x80;
        guest.Rbx = 0x01;
        guest.Run(a =>
        {
            a.stc();
            a.rcl(al, 1);
            a.clc();
            a.rcr(bl, 2);
        });
        Assert.Equal(0x01UL, guest.Rax);
        Assert.Equal(0x80UL, guest.Rbx);
    }

    [Fact]
    public void BitStringsReachBeyondTheirOperand()
    {
        using GuestProgram guest = new();
        guest.Rsi = GuestProgram.Data + 64;
        guest.Rax = unchecked((ulong)-1);
        guest.Run(a => a.bts(__qword_ptr[rsi], rax));
        Assert.Equal(1UL << 63, guest.ReadUInt64(GuestProgram.Data + 56));
        Assert.Equal(0UL, guest.Flags & Rflags.Carry);
    }

    [Fact]
    public void CompareExchangeOfSixteenBytes()
    {
        using GuestProgram guest = new();
        guest.WriteUInt64(GuestProgram.Data, 1);
        guest.WriteUInt64(GuestProgram.Data + 8, 2);
        guest.Rax = 1;
        guest.Rdx = 2;
        guest.Rbx = 3;
        guest.Rcx = 4;
        guest.Rsi = GuestProgram.Data;
        guest.Run(a => a.@lock.cmpxchg16b(__xmmword_ptr[rsi]));
        Assert.Equal(Rflags.Zero, guest.Flags & Rflags.Zero);
        Assert.Equal(3UL, guest.ReadUInt64(GuestProgram.Data));
        Assert.Equal(4UL, guest.ReadUInt64(GuestProgram.Data + 8));
        guest.Run(a => a.@lock.cmpxchg16b(__xmmword_ptr[rsi]));
        Assert.Equal(0UL, guest.Flags & Rflags.Zero);
        Assert.Equal(3UL, guest.Rax);
        Assert.Equal(4UL, guest.Rdx);
        guest.Rsi += 8;
        GuestProgram.AssertFault(guest.Run(a => a.@lock.cmpxchg16b(__xmmword_ptr[rsi])), ExceptionVector.GeneralProtection);
    }

    [Fact]
    public void ConditionalMoveLoadsEvenWhenItDoesNotMove()
    {
        using GuestProgram guest = new();
        guest.Rsi = 0x10_0000;
        CpuExit exit = guest.Run(a =>
        {
            a.xor(eax, eax);
            a.cmovne(rax, __qword_ptr[rsi]);
        });
        GuestProgram.AssertFault(exit, ExceptionVector.PageFault, (uint)PageFaultErrors.User);
        Assert.Equal(0x10_0000UL, exit.Address);
    }
}
