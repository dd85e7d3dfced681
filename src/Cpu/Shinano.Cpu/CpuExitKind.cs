namespace Shinano.Cpu;

/// <summary>Why an engine stopped running a vCPU: a closed set.</summary>
public enum CpuExitKind
{
    /// <summary>Somebody called <see cref="VirtualCpu.Kick"/>; RIP is at an instruction boundary.</summary>
    Kicked,

    /// <summary>SYSCALL in a PV guest. RIP is after the instruction; RCX and R11 are not yet changed.</summary>
    Syscall,

    /// <summary>VMCALL or VMMCALL. RIP is after the instruction.</summary>
    Hypercall,

    /// <summary>An exception that the engine does not deliver itself (every one, in a PV guest). RIP is at the faulting instruction, or after it for a
    /// trap (#BP, #OF, single step). Nothing of the instruction was committed for a fault.</summary>
    Exception,

    /// <summary>CPUID; RIP is at the instruction, whose length is <see cref="CpuExit.InstructionLength"/>.</summary>
    Cpuid,

    /// <summary>RDMSR of an MSR that the engine does not keep. RIP at the instruction.</summary>
    ReadMsr,

    /// <summary>WRMSR of an MSR that the engine does not keep. RIP at the instruction.</summary>
    WriteMsr,

    /// <summary>Port I/O at sufficient privilege (not PV, which gets #GP).</summary>
    PortIo,

    /// <summary>An access to a physical address that is no memory (not PV, which gets a page fault).</summary>
    Mmio,

    /// <summary>HLT at CPL 0.</summary>
    Halt,

    /// <summary>Interrupts became deliverable while <see cref="VirtualCpu.InterruptWindowRequested"/> was set.</summary>
    InterruptWindow,

    /// <summary>
    /// A probe (<see cref="ICpuEngine.SetProbe"/>) was reached: RIP is at the instruction, of which nothing has happened, and <see cref="CpuExit.Address"/> is
    /// the probe's. The next <see cref="VirtualCpu.Run"/> goes past it once. More exactly, the probe does not stop the vCPU there again before an instruction
    /// has completed or RIP was changed: so neither after a <see cref="Kicked"/> nor when the instruction faults and is simply tried again. When the
    /// hypervisor delivers an interrupt or a fault in between, the instruction is reached anew after the guest's handler, and with it the probe.
    /// </summary>
    Probe,

    /// <summary>Triple fault.</summary>
    Shutdown,
}
