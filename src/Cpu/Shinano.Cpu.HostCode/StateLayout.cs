using System.Runtime.InteropServices;

namespace Shinano.Cpu.HostCode;

/// <summary>Offsets from the start of <see cref="CpuState"/> that emitted code uses. The legacy region is that of FXSAVE64: SDM 1 table 10-2.</summary>
internal static class StateLayout
{
    public static readonly int Rip = Offset(nameof(CpuState.Rip));
    public static readonly int Rflags = Offset(nameof(CpuState.Rflags));
    public static readonly int Xsave = Offset(nameof(CpuState.Xsave));
    public static readonly int X87Control = Xsave;
    public static readonly int X87Status = Xsave + 2;
    public static readonly int X87Opcode = Xsave + 6;
    public static readonly int X87InstructionPointer = Xsave + 8;
    public static readonly int X87DataPointer = Xsave + 16;
    public static readonly int Mxcsr = Xsave + CpuState.MxcsrOffset;
    public static readonly int MxcsrMask = Mxcsr + 4;
    public static readonly int XstateBv = Xsave + CpuState.XstateBvOffset;

    public static int General(int number) => number * 8;

    public static int Vector(int number) => Xsave + CpuState.XmmOffset + (number * 16);

    public static int VectorHigh(int number) => Xsave + CpuState.YmmHighOffset + (number * 16);

    private static int Offset(string field) => (int)Marshal.OffsetOf<CpuState>(field);
}
