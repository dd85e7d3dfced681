namespace Shinano.Cpu.Translator;

/// <summary>
/// What emitted code asks of C# without leaving: for a look-aside miss the size in bytes in the low bits and how it is accessed, or code for a jump.
/// </summary>
internal static class FillRequest
{
    public const int SizeMask = 0xFFF;
    public const int Write = 0x1000;

    /// <summary>Through the stack window, which is for reads and writes: wants a write entry.</summary>
    public const int Stack = 0x2000;

    /// <summary>Alone: the address is an indirect jump's target, whose code is wanted.</summary>
    public const int Jump = 0x8000;

    /// <summary>Alone: the address is the number of a link, RIP its target.</summary>
    public const int Link = 0x8001;

    /// <summary>Alone: code without groups for RIP is wanted.</summary>
    public const int Ungrouped = 0x8002;

    /// <summary>Shift of the address bits that must be 0 for the operand's alignment.</summary>
    public const int AlignmentShift = 16;
}
