namespace Shinano.Cpu.Translator;

/// <summary>Operations of the shift group as encoded. Source: SDM 2, SAL/SAR/SHL/SHR.</summary>
internal enum HostShift
{
    Left = 4,
    Right = 5,
    ArithmeticRight = 7,
}
