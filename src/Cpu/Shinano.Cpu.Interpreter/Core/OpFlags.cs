namespace Shinano.Cpu.Interpreter;

/// <summary>Properties of an <see cref="Op"/> that its general handlers look at.</summary>
[Flags]
internal enum OpFlags : byte
{
    None = 0,

    /// <summary>The r/m operand is in memory.</summary>
    Memory = 1,

    /// <summary>The address is truncated to 32 bits (prefix 67).</summary>
    Address32 = 2,

    /// <summary>The access is through SS: a non-canonical address is #SS instead of #GP.</summary>
    Stack = 4,

    /// <summary>REP or REPE.</summary>
    Rep = 8,

    /// <summary>REPNE.</summary>
    Repne = 16,

    /// <summary>LOCK, or XCHG with memory.</summary>
    Lock = 32,

    /// <summary>Lives in a vCPU's private slot: its jumps must not remember targets in a shared page.</summary>
    Private = 64,

    /// <summary>Meaning depends on the handler.</summary>
    Variant = 128,
}
