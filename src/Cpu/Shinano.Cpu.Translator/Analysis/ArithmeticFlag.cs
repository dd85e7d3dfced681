namespace Shinano.Cpu.Translator;

/// <summary>Sets of the six arithmetic flags.</summary>
[Flags]
internal enum ArithmeticFlag : byte
{
    None = 0,
    Carry = 1,
    Parity = 2,
    Adjust = 4,
    Zero = 8,
    Sign = 16,
    Overflow = 32,
    All = 63,
}
