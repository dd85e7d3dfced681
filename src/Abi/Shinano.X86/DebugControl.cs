namespace Shinano.X86;

/// <summary>DR7 and DR6: which breakpoints are on, what they watch, and what is reported. Source: SDM 3B §17.2.3 to §17.2.5.</summary>
public static class DebugControl
{
    /// <summary>Number of breakpoint registers.</summary>
    public const int Count = 4;

    /// <summary>L0, G0 to L3, G3 in DR7: any of them set means that a breakpoint is on.</summary>
    public const ulong AnyEnabled = 0xFF;

    /// <summary>BS in DR6: the trap is that of single step.</summary>
    public const ulong SingleStep = 1UL << 14;

    /// <summary>Whether a breakpoint is enabled, locally or globally: without hardware task switches the two are the same.</summary>
    public static bool IsEnabled(ulong dr7, int number) => ((dr7 >> (2 * number)) & 3) != 0;

    /// <summary>The R/W field: what a breakpoint watches.</summary>
    public static BreakpointKind KindOf(ulong dr7, int number) => (BreakpointKind)((dr7 >> (16 + (4 * number))) & 3);

    /// <summary>The LEN field in bytes: 1, 2, 4 or 8.</summary>
    public static ulong LengthOf(ulong dr7, int number) => ((dr7 >> (18 + (4 * number))) & 3) switch { 0 => 1, 1 => 2, 2 => 8, _ => 4 };
}
