using Shinano.Cpu.Interpreter.Tests;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Translator.Tests;

/// <summary>Guest registers that have no host register of their own, and operands that are not what their encoding says.</summary>
public sealed class RenamingTests
{
    [Fact]
    public void ThreeRegistersWithoutAHomeInOneInstruction()
    {
        using GuestProgram guest = new();
        guest.Gpr(r10) = 0xFF00;
        guest.Gpr(r11) = 0x0FF0_1234;
        GuestProgram.AssertSyscall(guest.Run(a => a.andn(r9, r10, r11)));
        Assert.Equal(0x0FF0_0034UL, guest.Gpr(r9));
        Assert.Equal(0xFF00UL, guest.Gpr(r10));
        Assert.Equal(0x0FF0_1234UL, guest.Gpr(r11));
    }

    /// <summary>The last two bytes of the last page that the domain has: behind them is memory of the host.</summary>
    [Fact]
    public void MovsxdTo16BitsReads16Bits()
    {
        using GuestProgram guest = new();
        guest.Map(GuestProgram.Data, GuestProgram.FirstFrame + GuestProgram.FrameCount - 1);
        guest.Unmap(GuestProgram.Data + 0x1000);
        guest.Write(GuestProgram.Data + 0xFFE, [0x34, 0x92]);
        guest.Rsi = GuestProgram.Data + 0xFFE;
        guest.Rax = ulong.MaxValue;
        GuestProgram.AssertSyscall(guest.RunBytes(0x66, 0x63, 0x06)); // movsxd ax, word [rsi]
        Assert.Equal(0xFFFF_FFFF_FFFF_9234, guest.Rax);
    }
}
