using Shinano.Cpu;
using Shinano.Hypervisor.Traps;
using Shinano.XenAbi;

namespace Shinano.Hypervisor;

/// <summary>
/// A paravirtual vCPU: the engine's CPU and what Xen keeps beside it. Both of the guest's modes run at CPL 3; <see cref="InKernel"/> tells them apart and
/// each has a page-table root of its own. All members belong to the vCPU's thread unless they say otherwise.
/// </summary>
public sealed unsafe class PvVcpu
{
    public PvVcpu(Domain domain, int id, VirtualCpu cpu)
    {
        Domain = domain;
        Id = id;
        Cpu = cpu;
        Guest = new GuestAccess(domain.Memory, this);
        Scheduling = new VcpuScheduling(this);
    }

    public Domain Domain { get; }

    /// <summary>Number in the domain, from 0.</summary>
    public int Id { get; }

    public VirtualCpu Cpu { get; }

    public CpuState* State => Cpu.State;

    public GuestAccess Guest { get; }

    /// <summary>Virtual IDT, callbacks, kernel stack and the like.</summary>
    public TrapState Traps { get; } = new();

    /// <summary>Blocking, pausing and waking.</summary>
    public VcpuScheduling Scheduling { get; }

    /// <summary>Guest kernel mode (as opposed to guest user mode). Change it with <see cref="SwitchMode"/>.</summary>
    public bool InKernel { get; private set; } = true;

    /// <summary>Machine address of the kernel's top-level page table; 0 before the first one.</summary>
    public ulong KernelRoot { get; private set; }

    /// <summary>Machine address of the top-level table for user mode (MMUEXT_NEW_USER_BASEPTR); 0 when there is none.</summary>
    public ulong UserRoot { get; private set; }

    /// <summary>Root of the current mode.</summary>
    public ulong CurrentRoot => InKernel ? KernelRoot : UserRoot;

    /// <summary>Machine address of this vCPU's struct vcpu_info: in the shared info page until VCPUOP_register_vcpu_info moves it.</summary>
    public ulong VcpuInfoAddress { get; set; }

    /// <summary>VCPUOP_up was done and VCPUOP_down was not (vCPU 0: from the start). Any thread reads.</summary>
    public bool Online { get; set; }

    /// <summary>An event upcall is pending and not masked. Any thread.</summary>
    public bool IsUpcallDue => VcpuInfo.IsUpcallDue(this);

    /// <summary>A register of up to 8 bytes by its name in <see cref="RegisterTable"/>, for debugging output; the vCPU must be parked.</summary>
    public ulong ReadRegister(string name) => RegisterTable.TryFind(name, out RegisterDescriptor register)
        ? RegisterTable.Get(State, register)
        : throw new ArgumentException($"no register {name}", nameof(name));

    /// <summary>Called by anyone to make the vCPU look at its events and requests: wakes it when it is blocked, leaves guest code when it runs.</summary>
    public Action? Waker { get; set; }

    /// <summary>See <see cref="Waker"/>. Any thread.</summary>
    public void Notify()
    {
        Cpu.Kick();
        Waker?.Invoke();
    }

    /// <summary>Enters guest kernel or user mode: root and translation context change together, and GS bases are exchanged as by SWAPGS.</summary>
    public void SwitchMode(bool toKernel)
    {
        if (toKernel != InKernel)
        {
            (State->Gs.Base, State->KernelGsBase) = (State->KernelGsBase, State->Gs.Base);
        }

        InKernel = toKernel;
        State->Cr3 = CurrentRoot;
        State->TranslationContext = toKernel ? 0UL : 1UL;
    }

    /// <summary>
    /// Per context (<see cref="CpuState.TranslationContext"/>): how many of the domain's changes of page table entries this vCPU's translations take account of. Under the
    /// MMU lock.
    /// </summary>
    internal long[] SeenLeafChanges { get; } = new long[2];

    /// <summary>Where changed entries led, while translations are being dropped. On the vCPU's thread.</summary>
    internal FrameFilter ChangedFrames { get; } = new();

    /// <summary>What the vCPU's own thread does when it was called (<see cref="VirtualCpu.CallOwner"/>).</summary>
    internal Action<PvVcpu>? Called { get; set; }

    /// <summary>Does what the vCPU was called for, if it was. On its own thread, before it runs.</summary>
    internal void HeedCall()
    {
        if (Cpu.TakeCall())
        {
            Called?.Invoke(this);
        }
    }

    /// <summary>Makes an address the kernel's root. Its translations are the caller's to drop.</summary>
    internal void SetKernelRoot(ulong address)
    {
        KernelRoot = address;
        SwitchMode(InKernel);
    }

    /// <summary>Makes an address the root for user mode. Its translations are the caller's to drop.</summary>
    internal void SetUserRoot(ulong address)
    {
        UserRoot = address;
        SwitchMode(InKernel);
    }

    /// <summary>Machine frames of the guest's GDT, in order; each held by a reference of its type.</summary>
    public ulong[] GdtFrames { get; set; } = [];

    /// <summary>Machine frames of the guest's LDT by page, 0 where none is shown to the CPU yet; each held by a reference of its type.</summary>
    public ulong[] LdtFrames { get; } = new ulong[16];

    /// <summary>Guest-linear address of the LDT, in the kernel's address space.</summary>
    public ulong LdtBase { get; set; }

    /// <summary>Entries of the LDT; 0 when there is none.</summary>
    public int LdtEntries { get; set; }

    /// <summary>Points GDTR and LDTR at this vCPU's place in the per-domain area, where the guest's frames and Xen's reserved page are mapped.</summary>
    public void ShowDescriptorTables()
    {
        State->Gdtr.Base = AddressSpaceLayout.GdtStart(Id);
        State->Gdtr.Limit = AddressSpaceLayout.GdtLimit;
        State->Ldtr.Base = AddressSpaceLayout.LdtStart(Id);
        State->Ldtr.Limit = LdtEntries == 0 ? 0 : ((uint)LdtEntries * 8) - 1;
        State->Ldtr.Selector = (ushort)(LdtEntries == 0 ? 0 : 8);
    }

    /// <summary>Changes a hypercall's argument register, for a restart with progress: 0 is RDI, 1 RSI, 2 RDX.</summary>
    public void SetArgument(int index, ulong value) => State->Gpr[index switch { 0 => 7, 1 => 6, _ => 2 }] = value;
}
