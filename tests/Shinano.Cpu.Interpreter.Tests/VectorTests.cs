using Shinano.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

public sealed unsafe class VectorTests
{
    private const ulong Data = GuestProgram.Data;

    [Fact]
    public void MovesAndArithmeticGoThroughTheStateArea()
    {
        using GuestProgram guest = new();
        guest.Write(Data, Enumerable.Range(1, 32).Select(i => (byte)i).ToArray());
        guest.Rsi = Data;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.movdqu(xmm1, __xmmword_ptr[rsi + 1]);
            a.movaps(xmm2, __xmmword_ptr[rsi + 16]);
            a.paddb(xmm1, xmm2);
            a.movups(__xmmword_ptr[rsi + 0xFF8], xmm1);
            a.movq(rax, xmm1);
            a.pxor(xmm2, xmm2);
            a.movaps(__xmmword_ptr[rsi], xmm2);
        }));
        byte[] expected = Enumerable.Range(1, 16).Select(i => (byte)(i + 1 + i + 16)).ToArray();
        Assert.Equal(expected, guest.Read(Data + 0xFF8, 16));
        Assert.Equal(BitConverter.ToUInt64(expected), guest.Rax);
        Assert.All(guest.Read(Data, 16), b => Assert.Equal(0, b));
    }

    [Fact]
    public void MisalignedOperandsOfAlignedFormsFault()
    {
        using GuestProgram guest = new();
        guest.Rsi = Data + 8;
        GuestProgram.AssertFault(guest.Run(a => a.movaps(xmm0, __xmmword_ptr[rsi])), ExceptionVector.GeneralProtection);
        GuestProgram.AssertFault(guest.Run(a => a.paddb(xmm0, __xmmword_ptr[rsi])), ExceptionVector.GeneralProtection);
    }

    [Fact]
    public void TaskSwitchedTrapsVectorsAndFloats()
    {
        using GuestProgram guest = new();
        guest.State->Cr0 |= 8;
        GuestProgram.AssertFault(guest.Run(a => a.movaps(xmm0, xmm1)), ExceptionVector.DeviceNotAvailable);
        GuestProgram.AssertFault(guest.Run(a => a.addps(xmm0, xmm1)), ExceptionVector.DeviceNotAvailable);
        GuestProgram.AssertFault(guest.Run(a => a.fld1()), ExceptionVector.DeviceNotAvailable);
    }

    [Fact]
    public void FloatingPointOnTheHost()
    {
        using GuestProgram guest = new();
        guest.WriteUInt64(Data, BitConverter.DoubleToUInt64Bits(1.5));
        guest.Rsi = Data;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.fld(__qword_ptr[rsi]);
            a.fadd(st0, st0);
            a.fstp(__qword_ptr[rsi + 8]);
            a.mov(eax, 3);
            a.cvtsi2sd(xmm0, eax);
            a.mulsd(xmm0, __qword_ptr[rsi]);
            a.movsd(__qword_ptr[rsi + 16], xmm0);
            a.ucomisd(xmm0, __qword_ptr[rsi]);
        }));
        Assert.Equal(3.0, BitConverter.UInt64BitsToDouble(guest.ReadUInt64(Data + 8)));
        Assert.Equal(4.5, BitConverter.UInt64BitsToDouble(guest.ReadUInt64(Data + 16)));
        Assert.Equal(0UL, guest.Flags & (Rflags.Zero | Rflags.Carry | Rflags.Parity));
    }

    [Fact]
    public void SaveAndRestoreRoundTrip()
    {
        using GuestProgram guest = new();
        guest.Rsi = Data + 0xE00;
        guest.Rax = 7;
        guest.Rdx = 0;
        new Span<byte>(guest.State->Xsave + CpuState.XmmOffset, 256).Fill(0x11);
        new Span<byte>(guest.State->Xsave + CpuState.YmmHighOffset, 256).Fill(0x22);
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.xsave(__[rsi]);
            a.xorps(xmm0, xmm0);
            a.xorps(xmm15, xmm15);
            a.xrstor(__[rsi]);
        }));
        Assert.Equal(0x1111_1111_1111_1111UL, *(ulong*)(guest.State->Xsave + CpuState.XmmOffset));
        Assert.Equal(7UL, guest.ReadUInt64(Data + 0xE00 + 512));
        Assert.Equal(0x22, guest.Read(Data + 0xE00 + 576, 1)[0]);

        // A component whose bit is clear is initialised.
        guest.WriteUInt64(Data + 0xE00 + 512, 1);
        GuestProgram.AssertSyscall(guest.Run(a => a.xrstor(__[rsi])));
        Assert.Equal(0UL, *(ulong*)(guest.State->Xsave + CpuState.XmmOffset));
        guest.WriteUInt64(Data + 0xE00 + 512, 8);
        GuestProgram.AssertFault(guest.Run(a => a.xrstor(__[rsi])), ExceptionVector.GeneralProtection);
    }
}
