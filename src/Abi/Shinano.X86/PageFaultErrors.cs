namespace Shinano.X86;

/// <summary>Bits of a page fault's error code. Source: SDM 3A §4.7.</summary>
[Flags]
public enum PageFaultErrors : uint
{
    None = 0,

    /// <summary>The translation was present and a right was missing.</summary>
    Present = 1,
    Write = 2,
    User = 4,
    ReservedBit = 8,
    InstructionFetch = 16,
}
