namespace Shinano.Cpu;

/// <summary>What the engine must model for a domain.</summary>
public enum GuestKind
{
    /// <summary>64-bit paravirtual: always CPL 3 and long mode; every exception, SYSCALL and CPUID is an exit; page tables hold machine frames.</summary>
    Paravirtual,

    /// <summary>A full CPU from reset or PVH entry: the engine delivers exceptions and interrupts through the guest's IDT.</summary>
    FullCpu,
}
