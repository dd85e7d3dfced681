namespace Shinano.Cpu.Interpreter;

/// <summary>One entry of a data look-aside table.</summary>
internal struct TlbEntry
{
    /// <summary>Linear page address, with the address-space number of its context in the low 12 bits. 0 is never valid: numbers start at 1.</summary>
    public ulong Tag;

    /// <summary>Host address minus linear address.</summary>
    public ulong Addend;
}
