namespace Shinano.Cpu.Translator;

/// <summary>The look-up of an indirect jump's target, or of code without groups, in emitted code: in a cache of RIPs and the code for them.</summary>
internal static class JumpCacheProbe
{
    /// <summary>Index of an address's entry.</summary>
    /// <param name="entries">Entries of the cache; a power of two.</param>
    public static int IndexOf(ulong rip, int entries) => (int)((rip ^ ((uint)rip >> 12)) & (uint)(entries - 1));

    /// <summary>Where a probe that hit leaves the code's address.</summary>
    /// <param name="cache">The cache's place in the state.</param>
    public static HostOperand Code(int cache) => HostOperand.State(cache + 8, HostRegisters.R15);

    /// <summary>Jumps to <paramref name="miss"/> unless the entry for the address in RCX fits. Flags and R15 are lost.</summary>
    public static void Emit(HostAssembler code, int cache, int entries, int miss)
    {
        code.Move32(HostRegisters.R15, HostRegisters.Rcx);
        code.Shift(HostShift.Right, false, HostRegisters.R15, 12);
        code.Op(0, false, 0x33, HostRegisters.R15, HostOperand.Reg(HostRegisters.Rcx)); // XOR
        code.Arithmetic(4, false, HostOperand.Reg(HostRegisters.R15), entries - 1);
        code.Shift(HostShift.Left, false, HostRegisters.R15, 4);
        code.Op(0, true, 0x3B, HostRegisters.Rcx, HostOperand.State(cache, HostRegisters.R15));
        code.JumpIf(HostCondition.NotEqual, miss);
    }
}
