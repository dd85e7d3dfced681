namespace Shinano.X86;

/// <summary>What a debug register watches: the R/W field of DR7. Source: SDM 3B §17.2.4.</summary>
public enum BreakpointKind
{
    /// <summary>Execution of the instruction that begins at the address: a fault.</summary>
    Execute = 0,

    /// <summary>Data writes: a trap.</summary>
    Write = 1,

    /// <summary>Port I/O, with CR4.DE.</summary>
    PortIo = 2,

    /// <summary>Data reads and writes, not fetches: a trap.</summary>
    ReadWrite = 3,
}
