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

    [Fact]
    public void MaskedElementsAreNotAccessed()
    {
        Assert.SkipUnless(InterpreterEngine.Supported.HasFlag(CpuFeatures.Avx2), "the host has no AVX2");
        using GuestProgram guest = new();
        ulong edge = Data + (ulong)(GuestProgram.DataPages << 12) - 8;
        guest.WriteUInt64(edge, 0x2222_2222_1111_1111);
        guest.WriteUInt64(Data, 0x0000_0000_8000_0000);
        guest.WriteUInt64(Data + 8, 0);
        guest.WriteUInt64(Data + 16, 0x7FFF_FFFF_7FFF_FFFF);
        guest.WriteUInt64(Data + 24, 0);
        guest.Rsi = Data;
        guest.Rdi = edge;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.vmovdqu(ymm1, __ymmword_ptr[rsi]);
            a.vpmaskmovd(ymm0, ymm1, __ymmword_ptr[rdi]);
            a.vmovdqu(__ymmword_ptr[rsi + 64], ymm0);
            a.vpaddd(ymm2, ymm0, ymm0);
            a.vpmaskmovd(__ymmword_ptr[rdi], ymm1, ymm2);
        }));
        Assert.Equal(0x1111_1111UL, guest.ReadUInt64(Data + 64));
        Assert.Equal(0UL, guest.ReadUInt64(Data + 72));
        Assert.Equal(0x2222_2222_2222_2222UL, guest.ReadUInt64(edge));
        guest.WriteUInt64(Data, 0x8000_0000_0000_0000);
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.vmovdqu(ymm1, __ymmword_ptr[rsi]);
            a.vpmaskmovd(ymm0, ymm1, __ymmword_ptr[rdi]);
        }));
        guest.WriteUInt64(Data + 8, 0x8000_0000);
        GuestProgram.AssertFault(
            guest.Run(a =>
            {
                a.vmovdqu(ymm1, __ymmword_ptr[rsi]);
                a.vpmaskmovd(ymm0, ymm1, __ymmword_ptr[rdi]);
            }),
            ExceptionVector.PageFault,
            (uint)PageFaultErrors.User);
        Assert.Equal(edge + 8, guest.Exit.Address);
    }

    [Fact]
    public void GathersLoadAndClearTheirMask()
    {
        Assert.SkipUnless(InterpreterEngine.Supported.HasFlag(CpuFeatures.Avx2), "the host has no AVX2");
        using GuestProgram guest = new();
        for (int i = 0; i < 16; i++)
        {
            guest.Write(Data + (ulong)(4 * i), BitConverter.GetBytes(100 + i));
            guest.Write(Data + 0x100 + (ulong)(4 * i), BitConverter.GetBytes(15 - (2 * i)));
        }

        guest.Rsi = Data;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.vmovdqu(ymm1, __ymmword_ptr[rsi + 0x100]);
            a.vpcmpeqd(ymm2, ymm2, ymm2);
            a.vpgatherdd(ymm0, __dword_ptr[rsi + (ymm1 * 4)], ymm2);
            a.vmovdqu(__ymmword_ptr[rsi + 0x200], ymm0);
            a.vmovdqu(__ymmword_ptr[rsi + 0x240], ymm2);
            a.vpcmpeqd(ymm2, ymm2, ymm2);
            a.vpgatherdq(ymm3, __qword_ptr[rsi + (xmm1 * 4)], ymm2);
            a.vmovdqu(__ymmword_ptr[rsi + 0x280], ymm3);
        }));
        int[] gathered = [.. Enumerable.Range(0, 8).Select(i => BitConverter.ToInt32(guest.Read(Data + 0x200 + (ulong)(4 * i), 4)))];
        Assert.Equal([115, 113, 111, 109, 107, 105, 103, 101], gathered);
        Assert.All(guest.Read(Data + 0x240, 32), b => Assert.Equal(0, b));
        Assert.Equal(109UL | (110UL << 32), guest.ReadUInt64(Data + 0x280 + 24));
    }
}
