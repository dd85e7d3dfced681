using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Traps;

/// <summary>The guest's DR0 to DR7 with Xen's checks. Source: SDM 3B §17.2; public/xen.h: HYPERVISOR_set_debugreg.</summary>
internal static unsafe class DebugRegisters
{
    public const ulong Cr0TaskSwitched = 1 << 3;

    /// <summary>Bits of DR6 that read as one.</summary>
    public const ulong Dr6AlwaysOne = 0xFFFF0FF0;

    private const ulong Dr6AlwaysZero = 1 << 12;
    private const ulong Dr7AlwaysOne = 0x400;
    private const ulong Dr7AlwaysZero = 0xD800;
    private const ulong Dr7GeneralDetect = 1 << 13;
    private const ulong Cr4DebugExtensions = 1 << 3;

    /// <summary>0, or a negated errno.</summary>
    public static long Set(PvVcpu vcpu, ulong register, ulong value)
    {
        switch (register)
        {
            case <= 3:
                // An address in Xen's own part of the address space would trap the hypervisor.
                if (!IsGuestAddress(value))
                {
                    return -Errno.Perm;
                }

                break;
            case 4 when (vcpu.Traps.GuestCr4 & Cr4DebugExtensions) == 0:
            case 6:
                if (value >> 32 != 0)
                {
                    return -Errno.Invalid;
                }

                register = 6;
                value = (value | Dr6AlwaysOne) & ~Dr6AlwaysZero;
                break;
            case 5 when (vcpu.Traps.GuestCr4 & Cr4DebugExtensions) == 0:
            case 7:
                if (value >> 32 != 0)
                {
                    return -Errno.Invalid;
                }

                if ((value & Dr7GeneralDetect) != 0
                    || ((value & DebugControl.AnyEnabled) != 0 && WatchesPorts(value) && (vcpu.Traps.GuestCr4 & Cr4DebugExtensions) == 0))
                {
                    return -Errno.Perm;
                }

                register = 7;
                value = (value | Dr7AlwaysOne) & ~Dr7AlwaysZero;
                break;
            default:
                return -Errno.NoDevice;
        }

        vcpu.State->Dr[register] = value;
        return 0;
    }

    /// <summary>Reads a register; false for one that does not exist.</summary>
    public static bool TryGet(PvVcpu vcpu, ulong register, out ulong value)
    {
        bool aliased = (vcpu.Traps.GuestCr4 & Cr4DebugExtensions) == 0;
        value = 0;
        if (register > 7 || (register is 4 or 5 && !aliased))
        {
            return false;
        }

        value = vcpu.State->Dr[register is 4 or 5 ? register + 2 : register];
        return true;
    }

    /// <summary>As Xen, which looks at every R/W field once one breakpoint is on. No port belongs to a PV domain, so that such a breakpoint is never met.</summary>
    private static bool WatchesPorts(ulong dr7) =>
        Enumerable.Range(0, DebugControl.Count).Any(i => DebugControl.KindOf(dr7, i) == BreakpointKind.PortIo);

    private static bool IsGuestAddress(ulong address) => address is < 0x0000_8000_0000_0000 or >= 0xFFFF_8800_0000_0000;
}
