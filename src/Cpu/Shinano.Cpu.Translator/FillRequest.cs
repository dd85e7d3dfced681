namespace Shinano.Cpu.Translator;

/// <summary>What emitted code asks of the look-aside miss: the operand's size in the low byte, and how it is accessed.</summary>
internal static class FillRequest
{
    public const int SizeMask = 0xFF;
    public const int Write = 0x100;

    /// <summary>Through the stack window, which is for reads and writes: wants a write entry.</summary>
    public const int Stack = 0x200;

    /// <summary>Shift of the address bits that must be 0 for the operand's alignment.</summary>
    public const int AlignmentShift = 16;
}
