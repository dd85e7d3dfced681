using Shinano.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary>FXSAVE and XSAVE images, where the comparison with the host CPU found differences.</summary>
public sealed unsafe class StateImageTests
{
    private const ulong Area = GuestProgram.Data + 0x400;

    [Fact]
    public void Xsavec_writes_no_more_of_the_header_than_it_must_and_mxcsr_with_sse_only()
    {
        using GuestProgram guest = new();
        guest.Write(Area, Enumerable.Repeat((byte)0xEE, CpuState.XsaveSize).ToArray());
        guest.Rsi = Area;
        guest.Rax = 4;
        guest.Rdx = 0;
        GuestProgram.AssertSyscall(guest.Run(a => a.xsavec(__[rsi])));
        Assert.Equal(0xEEEE_EEEE, (uint)guest.ReadUInt64(Area + CpuState.MxcsrOffset));
        Assert.Equal(4UL, guest.ReadUInt64(Area + 512));
        Assert.Equal((1UL << 63) | 4, guest.ReadUInt64(Area + 520));
        Assert.All(guest.Read(Area + 528, 48), b => Assert.Equal(0xEE, b));
    }

    [Fact]
    public void Fxrstor_drops_reserved_bits_of_the_control_word_and_recomputes_the_summary()
    {
        using GuestProgram guest = new();
        guest.Write(Area, new byte[512]);
        guest.Write(Area, [0x7E, 0xF3, 0x01, 0x00]);
        guest.Write(Area + CpuState.MxcsrOffset, BitConverter.GetBytes(0x1F80));
        guest.Rsi = Area;
        GuestProgram.AssertSyscall(guest.Run(a => a.fxrstor64(__[rsi])));
        Assert.Equal(0x137E, *(ushort*)guest.State->Xsave);
        Assert.Equal(0x8081, *(ushort*)(guest.State->Xsave + 2));
    }

    [Fact]
    public void Fxsave_without_rex_w_saves_pointers_of_32_bits()
    {
        using GuestProgram guest = new();
        *(ulong*)(guest.State->Xsave + 8) = 0x1234_5678_9ABC;
        guest.Rsi = Area;
        GuestProgram.AssertSyscall(guest.Run(a => a.fxsave(__[rsi])));
        Assert.Equal(0x5678_9ABCUL, guest.ReadUInt64(Area + 8));
        GuestProgram.AssertSyscall(guest.Run(a => a.fxsave64(__[rsi])));
        Assert.Equal(0x1234_5678_9ABCUL, guest.ReadUInt64(Area + 8));
    }

    [Fact]
    public void Xrstor_checks_the_header_before_it_reads_beyond()
    {
        using GuestProgram guest = new();
        ulong area = GuestProgram.Data + 0xD00;
        guest.Write(area, new byte[CpuState.XsaveSize]);
        guest.Write(area + 512, [0x80]);
        guest.Unmap(GuestProgram.Data + 0x1000);
        guest.Rsi = area;
        guest.Rax = 7;
        guest.Rdx = 0;
        GuestProgram.AssertFault(guest.Run(a => a.xrstor(__[rsi])), ExceptionVector.GeneralProtection);
    }
}
