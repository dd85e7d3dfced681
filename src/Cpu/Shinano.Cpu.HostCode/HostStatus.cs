namespace Shinano.Cpu.HostCode;

/// <summary>How a stub ended. Values are part of the emitted code.</summary>
public enum HostStatus : uint
{
    /// <summary>The instruction was executed and its results are in the state and in memory. RIP is not advanced.</summary>
    Done = 0,

    /// <summary>#XM: an unmasked SSE exception. MXCSR has its flags; nothing else changed. SDM 1 §11.5.</summary>
    SimdException = 1,

    /// <summary>#GP(0): the operand of an aligned form is not aligned; nothing changed. SDM 2A §2.4 (exception types 1 and 4).</summary>
    Misaligned = 2,

    /// <summary>#MF: an x87 exception of an earlier instruction is pending; nothing changed. SDM 1 §8.7.</summary>
    X87Pending = 3,
}
