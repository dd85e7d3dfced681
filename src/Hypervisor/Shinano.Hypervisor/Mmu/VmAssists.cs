using Shinano.Hypervisor.Hypercalls;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>vm_assist: the behaviours a guest may switch. Source: public/xen.h: VMASST_*.</summary>
public sealed class VmAssists
{
    private const int WritablePageTables = 2;
    private const int RunStateUpdateFlag = 5;
    private const int ArchitecturalIopl = 4;
    private const int M2PStrict = 32;

    /// <summary>Assists that a 64-bit PV guest may use.</summary>
    private const ulong Valid = (1UL << WritablePageTables) | (1UL << RunStateUpdateFlag) | (1UL << ArchitecturalIopl) | (1UL << M2PStrict);

    private ulong _enabled;

    public VmAssists(Domain domain) => domain.Hypercalls.Add(HypercallNumber.VmAssist, Assist);

    /// <summary>VMASST_TYPE_runstate_update_flag: the run-state area is marked while it changes.</summary>
    public bool RunStateUpdates => (Volatile.Read(ref _enabled) >> RunStateUpdateFlag & 1) != 0;

    private long Assist(PvVcpu vcpu, in HypercallArguments a)
    {
        if (a.A2 >= 64 || (Valid >> (int)a.A2 & 1) == 0)
        {
            return -Errno.Invalid;
        }

        ulong bit = 1UL << (int)a.A2;
        switch (a.A1)
        {
            case 0: // VMASST_CMD_enable
                Interlocked.Or(ref _enabled, bit);
                break;
            case 1: // VMASST_CMD_disable
                Interlocked.And(ref _enabled, ~bit);
                break;
            default:
                return -Errno.NoSystemCall;
        }

        if (a.A2 == ArchitecturalIopl)
        {
            foreach (PvVcpu each in vcpu.Domain.Vcpus)
            {
                each.Traps.ArchitecturalIopl = a.A1 == 0;
            }
        }

        return 0;
    }
}
