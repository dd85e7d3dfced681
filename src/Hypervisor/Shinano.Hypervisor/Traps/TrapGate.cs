namespace Shinano.Hypervisor.Traps;

/// <summary>One entry of a vCPU's virtual IDT. Source: public/arch-x86/xen.h: struct trap_info.</summary>
/// <param name="Address">Handler in the guest kernel; 0 when the guest registered none.</param>
/// <param name="Selector">Code selector the guest gave; 64-bit guests always run their handlers on FLAT_KERNEL_CS.</param>
/// <param name="Privilege">TI_GET_DPL: the least privileged ring whose INT instruction may use the gate; the guest kernel counts as ring 1.</param>
/// <param name="MasksEvents">TI_GET_IF: delivery sets evtchn_upcall_mask.</param>
public readonly record struct TrapGate(ulong Address, ushort Selector, byte Privilege, bool MasksEvents);
