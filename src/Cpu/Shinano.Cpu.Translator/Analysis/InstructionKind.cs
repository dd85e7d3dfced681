namespace Shinano.Cpu.Translator;

/// <summary>How an instruction is translated.</summary>
internal enum InstructionKind : byte
{
    /// <summary>Not at all: the block ends before it and the interpreter executes it.</summary>
    Foreign,

    /// <summary>The same instruction on the host, registers renamed, its memory operand checked.</summary>
    Plain,

    /// <summary>Does nothing that a guest could see.</summary>
    Nothing,
    LoadAddress,
    Push,
    Pop,
    Leave,

    /// <summary>DIV and IDIV, which must not fault on the host.</summary>
    Divide,

    /// <summary>BT and its kin with the bit's number in a register, which moves the address.</summary>
    BitInMemory,

    /// <summary>CMPXCHG16B.</summary>
    CompareExchange16,

    /// <summary>REP MOVS and REP STOS.</summary>
    Repeat,

    /// <summary>MOV of a segment's selector into a register.</summary>
    ReadSelector,

    /// <summary>RDTSC and RDTSCP.</summary>
    TimeStamp,
    JumpIf,
    Jump,
    JumpIndirect,
    Call,
    CallIndirect,
    Return,
    Syscall,
}
