namespace Shinano.Cpu.HostCode;

/// <summary>The part of the CPU that an instruction needs; says which checks of control registers come before it.</summary>
public enum HostUnit
{
    /// <summary>General registers only (BMI, POPCNT, ...): no check.</summary>
    Integer,

    /// <summary>x87: #NM when CR0.EM or CR0.TS is set. The stub itself reports a pending #MF. SDM 3A §2.5.</summary>
    X87,

    /// <summary>WAIT/FWAIT: #NM when CR0.MP and CR0.TS are set. The stub itself reports a pending #MF.</summary>
    Wait,

    /// <summary>MMX registers: #UD when CR0.EM, #NM when CR0.TS is set. The stub itself reports a pending #MF. SDM 3A §12.1.</summary>
    Mmx,

    /// <summary>Legacy SSE: #UD when CR0.EM is set or CR4.OSFXSR is clear, #NM when CR0.TS is set. SDM 3A §13.1.3.</summary>
    Sse,

    /// <summary>VEX-encoded vectors: #UD unless CR4.OSXSAVE and both XCR0 bits 1 and 2 are set, #NM when CR0.TS is set. SDM 2A §2.4.</summary>
    Avx,

    /// <summary>VEX-encoded general register instructions (ANDN, ...): no check of vector state; #UD outside of protected mode.</summary>
    VexInteger,
}
