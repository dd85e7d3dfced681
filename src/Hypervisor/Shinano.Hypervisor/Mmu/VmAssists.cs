using Shinano.Hypervisor.Hypercalls;
using Shinano.SavedState;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>vm_assist: the behaviours a guest may switch. Source: public/xen.h: VMASST_*.</summary>
public sealed class VmAssists
{
    private const ulong Enable = 0;
    private const ulong Disable = 1;

    /// <summary>Assists that a 64-bit PV guest may ask for, those without an effect on it included. Source: Xen's PV64_VM_ASSIST_MASK.</summary>
    private const ulong Valid = (1UL << (int)VmAssistType.Segments4Gb)
        | (1UL << (int)VmAssistType.Segments4GbNotify)
        | (1UL << (int)VmAssistType.WritablePageTables)
        | (1UL << (int)VmAssistType.PaeExtendedCr3)
        | (1UL << (int)VmAssistType.ArchitecturalIopl)
        | (1UL << (int)VmAssistType.RunStateUpdateFlag)
        | (1UL << (int)VmAssistType.StrictM2P);

    private readonly MachineSpace? _space;
    private ulong _enabled;

    /// <param name="space">The domain's machine space, for <see cref="VmAssistType.StrictM2P"/>; null where there is none (tests).</param>
    public VmAssists(Domain domain, MachineSpace? space = null)
    {
        _space = space;
        domain.Hypercalls.Add(HypercallNumber.VmAssist, Assist);
    }

    /// <summary>The run-state area is marked while it changes.</summary>
    public bool RunStateUpdates => IsEnabled(VmAssistType.RunStateUpdateFlag);

    /// <summary>Whether the guest switched a behaviour on. Any thread.</summary>
    public bool IsEnabled(VmAssistType type) => (Volatile.Read(ref _enabled) >> (int)type & 1) != 0;

    /// <summary>Writes what the guest switched on.</summary>
    internal void Save(StateWriter writer) => writer.Put(Volatile.Read(ref _enabled));

    /// <summary>Reads what <see cref="Save"/> wrote; vCPUs' I/O privilege follows.</summary>
    internal void Load(Domain domain, StateReader reader)
    {
        ulong enabled = reader.Get<ulong>();
        StateReader.Demand((enabled & ~Valid) == 0, $"assists {enabled:x} are none that a guest can have");
        Volatile.Write(ref _enabled, enabled);
        foreach (PvVcpu vcpu in domain.Vcpus)
        {
            vcpu.Traps.ArchitecturalIopl = IsEnabled(VmAssistType.ArchitecturalIopl);
        }

        if (_space is not null)
        {
            _space.HidesM2PFromUserMode = IsEnabled(VmAssistType.StrictM2P);
        }
    }

    private long Assist(PvVcpu vcpu, in HypercallArguments a)
    {
        uint type = (uint)a.A2;
        if (type >= 64 || (Valid >> (int)type & 1) == 0)
        {
            return -Errno.Invalid;
        }

        ulong bit = 1UL << (int)type;
        switch ((uint)a.A1)
        {
            case (uint)Enable:
                Interlocked.Or(ref _enabled, bit);
                break;
            case (uint)Disable:
                Interlocked.And(ref _enabled, ~bit);
                break;
            default:
                return -Errno.NoSystemCall;
        }

        bool isEnabled = (uint)a.A1 == Enable;
        if (type == (uint)VmAssistType.ArchitecturalIopl)
        {
            foreach (PvVcpu each in vcpu.Domain.Vcpus)
            {
                each.Traps.ArchitecturalIopl = isEnabled;
            }
        }
        else if (type == (uint)VmAssistType.StrictM2P && _space is not null)
        {
            _space.HidesM2PFromUserMode = isEnabled;
        }

        return 0;
    }
}
