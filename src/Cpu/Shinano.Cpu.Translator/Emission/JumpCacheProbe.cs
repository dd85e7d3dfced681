namespace Shinano.Cpu.Translator;

/// <summary>The look-up of an indirect jump's target in emitted code.</summary>
internal static class JumpCacheProbe
{
    private const int Mask = NativeState.JumpEntries - 1;

    /// <summary>Index of an address's entry.</summary>
    public static int IndexOf(ulong rip) => (int)((rip ^ ((uint)rip >> 12)) & Mask);

    /// <summary>Where a probe that hit leaves the code's address.</summary>
    public static HostOperand Code(int context) => HostOperand.State(NativeLayout.JumpCache(context) + 8, HostRegisters.R15);

    /// <summary>Jumps to <paramref name="miss"/> unless the entry for the address in RCX fits. Flags and R15 are lost.</summary>
    public static void Emit(HostAssembler code, int context, int miss)
    {
        code.Move32(HostRegisters.R15, HostRegisters.Rcx);
        code.Shift(HostShift.Right, false, HostRegisters.R15, 12);
        code.Op(0, false, 0x33, HostRegisters.R15, HostOperand.Reg(HostRegisters.Rcx)); // XOR
        code.Arithmetic(4, false, HostOperand.Reg(HostRegisters.R15), Mask);
        code.Shift(HostShift.Left, false, HostRegisters.R15, 4);
        code.Op(0, true, 0x3B, HostRegisters.Rcx, HostOperand.State(NativeLayout.JumpCache(context), HostRegisters.R15));
        code.JumpIf(HostCondition.NotEqual, miss);
    }
}
