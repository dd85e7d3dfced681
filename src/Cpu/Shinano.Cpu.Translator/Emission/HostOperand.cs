namespace Shinano.Cpu.Translator;

/// <summary>A register or memory operand of a host instruction. Registers are numbered as encoded, 0 to 15; -1 is none.</summary>
/// <param name="Register">The register, or -1 for memory.</param>
/// <param name="InState">Relative to the GS base, which is the vCPU's <see cref="NativeState"/>.</param>
/// <param name="Base">Base register of memory.</param>
/// <param name="Index">Index register of memory; never 4.</param>
/// <param name="Scale">Shift of the index, 0 to 3.</param>
/// <param name="Displacement">Displacement.</param>
internal readonly record struct HostOperand(int Register, bool InState, int Base, int Index, int Scale, int Displacement)
{
    /// <summary>A register.</summary>
    public static HostOperand Reg(int register) => new(register, false, -1, -1, 0, 0);

    /// <summary>Memory at a register plus a displacement.</summary>
    public static HostOperand Mem(int @base, int displacement) => new(-1, false, @base, -1, 0, displacement);

    /// <summary>Memory at base + index * 2^scale + displacement.</summary>
    public static HostOperand Mem(int @base, int index, int scale, int displacement) => new(-1, false, @base, index, scale, displacement);

    /// <summary>A field of the vCPU's state at an offset.</summary>
    public static HostOperand State(int offset) => new(-1, true, -1, -1, 0, offset);

    /// <summary>A field of the vCPU's state at an offset plus an index.</summary>
    public static HostOperand State(int offset, int index, int scale = 0) => new(-1, true, scale == 0 ? index : -1, scale == 0 ? -1 : index, scale, offset);
}
