using Iced.Intel;

namespace Shinano.Cpu.Translator;

/// <summary>One decoded instruction of a block with what translation needs to know of it.</summary>
internal struct GuestInstruction
{
    public Instruction Code;
    public InstructionKind Kind;

    /// <summary>Bytes of the memory operand; 0 when there is none.</summary>
    public int MemorySize;

    /// <summary>The memory operand is written.</summary>
    public bool WritesMemory;

    /// <summary>Alignment that the memory operand must have, else #GP; 1 when any will do.</summary>
    public int Alignment;

    /// <summary>Uses vector registers.</summary>
    public bool IsVector;

    /// <summary>VEX-encoded with vector registers: needs XCR0.</summary>
    public bool IsVex;

    /// <summary>The count is in CL.</summary>
    public bool CountInCl;

    /// <summary>Writes ECX, which is no operand that could be renamed.</summary>
    public bool WritesEcx;

    public ArithmeticFlag FlagsRead;

    /// <summary>Flags whose value after the instruction does not depend on the one before.</summary>
    public ArithmeticFlag FlagsReplaced;

    /// <summary>Flags that may differ after the instruction.</summary>
    public ArithmeticFlag FlagsModified;

    // Filled by FlagLiveness.

    /// <summary>Flags in the host's register that somebody later in the block reads, before this instruction.</summary>
    public ArithmeticFlag LiveBefore;

    /// <summary>The flags must be saved to the state right after this instruction.</summary>
    public bool SaveAfter;

    /// <summary>For a call: the flags must be loaded from the state after its return.</summary>
    public bool LoadAfter;

    // Filled by AccessGroups.

    /// <summary>How the memory operand is checked.</summary>
    public AccessPlan Operand;

    /// <summary>How the access of a push, pop, call or return is checked.</summary>
    public AccessPlan Stack;

    public readonly ulong Rip => Code.IP;

    public readonly ulong NextRip => Code.NextIP;

    public readonly bool HasMemory => MemorySize != 0;
}
