using Shinano.X86;

namespace Shinano.Hypervisor.Traps;

/// <summary>
/// What Xen keeps of a PV vCPU's traps beside its registers: the virtual IDT, callbacks, kernel stack, I/O privilege and debug registers. Belongs to the
/// vCPU's thread, except while the vCPU has not been brought up and for <see cref="RaiseNmi"/>.
/// </summary>
public sealed class TrapState
{
    private readonly TrapGate[] _gates = new TrapGate[256];
    private int _nmiPending;

    /// <summary>Entry for event upcalls (CALLBACKTYPE_event).</summary>
    public GuestCallback EventCallback { get; set; }

    /// <summary>Entry when a segment load or the return to the guest faults (CALLBACKTYPE_failsafe).</summary>
    public GuestCallback FailsafeCallback { get; set; }

    /// <summary>Entry for SYSCALL in user mode (CALLBACKTYPE_syscall).</summary>
    public GuestCallback SyscallCallback { get; set; }

    /// <summary>Entry for SYSCALL in 32-bit user code (CALLBACKTYPE_syscall32); <see cref="SyscallCallback"/> when there is none.</summary>
    public GuestCallback Syscall32Callback { get; set; }

    /// <summary>Entry for SYSENTER (CALLBACKTYPE_sysenter).</summary>
    public GuestCallback SysenterCallback { get; set; }

    /// <summary>Stack for entries from user mode (stack_switch).</summary>
    public ulong KernelStack { get; set; }

    /// <summary>Selector given with <see cref="KernelStack"/>; kept for vcpu_guest_context only.</summary>
    public ushort KernelStackSelector { get; set; }

    /// <summary>Virtual I/O privilege, 0 to 3 (PHYSDEVOP_set_iopl). Starts at 0, less than the guest kernel's ring 1.</summary>
    public int IoPrivilege { get; set; }

    /// <summary>VMASST_TYPE_architectural_iopl: IOPL shows in saved RFLAGS and the guest kernel counts as ring 0.</summary>
    public bool ArchitecturalIopl { get; set; }

    /// <summary>Guest's view of CR4 (what its MOV CR4 wrote, fixed up).</summary>
    public ulong GuestCr4 { get; set; }

    /// <summary>CR2 as the guest reads it.</summary>
    public ulong GuestCr2 { get; set; }

    /// <summary>An NMI waits for delivery. Any thread.</summary>
    public bool NmiPending => Volatile.Read(ref _nmiPending) != 0;

    /// <summary>An NMI was delivered and its handler has not returned by the iret hypercall.</summary>
    public bool InNmi { get; set; }

    /// <summary>The virtual IDT's entry of a vector.</summary>
    public ref TrapGate this[int vector] => ref _gates[vector];

    /// <summary>Empties the virtual IDT.</summary>
    public void ClearGates() => Array.Clear(_gates);

    /// <summary>Registers the NMI handler as set_trap_table would, events masked. Source: public/nmi.h.</summary>
    public void SetNmiHandler(ulong address) =>
        _gates[(int)ExceptionVector.NonMaskableInterrupt] = address == 0 ? default : new TrapGate(address, FlatSegments.Code64, 0, true);

    /// <summary>Makes an NMI pending; the caller then notifies the vCPU. Any thread.</summary>
    public void RaiseNmi() => Volatile.Write(ref _nmiPending, 1);

    /// <summary>Takes the pending NMI.</summary>
    public bool TakeNmi() => Interlocked.Exchange(ref _nmiPending, 0) != 0;
}
