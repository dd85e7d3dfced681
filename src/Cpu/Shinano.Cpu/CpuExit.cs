using Shinano.X86;

namespace Shinano.Cpu;

/// <summary>An exit with its particulars; which fields mean something depends on <see cref="Kind"/>.</summary>
public struct CpuExit
{
    public CpuExitKind Kind;

    /// <summary>For <see cref="CpuExitKind.Exception"/>.</summary>
    public ExceptionVector Vector;

    /// <summary>For an exception that pushes one (SDM 3A table 6-1), else 0. For a page fault the hardware's bits (<see cref="PageFaultErrors"/>).</summary>
    public uint ErrorCode;

    /// <summary>The linear address of a page fault (what CR2 gets; the engine does not write CR2 for a PV guest), or the physical address of an MMIO access or a probe.</summary>
    public ulong Address;

    /// <summary>Length in bytes of the instruction at RIP, where the kind says RIP stays at it and it was decoded; else 0.</summary>
    public int InstructionLength;

    /// <summary>For port I/O and MMIO: bytes per access (1, 2, 4, 8).</summary>
    public int Size;

    /// <summary>For port I/O: the port. For MSR exits: the index.</summary>
    public uint Number;

    /// <summary>For port I/O and MMIO: whether the guest writes.</summary>
    public bool IsWrite;

    /// <summary>For a write: the value.</summary>
    public ulong Value;

    /// <summary>For a <see cref="ExceptionVector.Debug"/> exception: the DR6 bits to set.</summary>
    public ulong DebugStatus;
}
