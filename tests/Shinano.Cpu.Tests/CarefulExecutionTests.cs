using Shinano.X86;

namespace Shinano.Cpu.Tests;

/// <summary>When a vCPU must be run an instruction at a time.</summary>
public sealed unsafe class CarefulExecutionTests
{
    private const ulong AlignmentMask = 1UL << 18;

    [Theory]
    [InlineData(Rflags.AlwaysOne, 0UL, AlignmentMask, 3UL, CarefulReasons.None)]
    [InlineData(Rflags.Trap, 0UL, 0UL, 0UL, CarefulReasons.SingleStep)]
    [InlineData(Rflags.AlignmentCheck, 0UL, AlignmentMask, 3UL, CarefulReasons.AlignmentChecks)]
    [InlineData(Rflags.AlignmentCheck, 0UL, AlignmentMask, 0UL, CarefulReasons.None)]
    [InlineData(Rflags.AlignmentCheck, 0UL, 0UL, 3UL, CarefulReasons.None)]
    [InlineData(0UL, 0x400UL, AlignmentMask, 3UL, CarefulReasons.None)]
    [InlineData(0UL, 0x401UL, 0UL, 3UL, CarefulReasons.Breakpoints)]
    [InlineData(Rflags.Trap, 0x80UL, 0UL, 3UL, CarefulReasons.Breakpoints | CarefulReasons.SingleStep)]
    public void TheStateAloneDecides(ulong rflags, ulong dr7, ulong cr0, ulong cpl, CarefulReasons expected)
    {
        CpuState state = default;
        state.Rflags = rflags;
        state.Dr[7] = dr7;
        state.Cr0 = cr0;
        state.Cpl = cpl;
        Assert.Equal(expected, CarefulExecution.ReasonsOf(&state));
        state.InterruptShadow = 1;
        Assert.Equal(expected | CarefulReasons.Shadow, CarefulExecution.ReasonsOf(&state));
    }

    [Fact]
    public void OnlyTheTrapAndAlignmentFlagsMatter()
    {
        Assert.True(CarefulExecution.FlagsMatter(0, Rflags.Trap));
        Assert.True(CarefulExecution.FlagsMatter(Rflags.AlignmentCheck, 0));
        Assert.False(CarefulExecution.FlagsMatter(Rflags.Arithmetic, Rflags.Direction | Rflags.Identification));
    }

    [Fact]
    public void ControlFieldsReadAsTheManualHasThem()
    {
        // DR1: write, 8 bytes (LEN 10), global; DR2: read and write, 4 bytes (LEN 11), local.
        const ulong Dr7 = (9UL << 20) | (0xFUL << 24) | (2 << 2) | (1 << 4);
        Assert.False(DebugControl.IsEnabled(Dr7, 0));
        Assert.True(DebugControl.IsEnabled(Dr7, 1));
        Assert.True(DebugControl.IsEnabled(Dr7, 2));
        Assert.Equal(BreakpointKind.Write, DebugControl.KindOf(Dr7, 1));
        Assert.Equal(8UL, DebugControl.LengthOf(Dr7, 1));
        Assert.Equal(BreakpointKind.ReadWrite, DebugControl.KindOf(Dr7, 2));
        Assert.Equal(4UL, DebugControl.LengthOf(Dr7, 2));
        Assert.Equal(1UL, DebugControl.LengthOf(Dr7, 3));
    }
}
