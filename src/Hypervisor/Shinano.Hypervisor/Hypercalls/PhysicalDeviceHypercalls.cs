using Shinano.XenAbi;

namespace Shinano.Hypervisor.Hypercalls;

/// <summary>physdev_op for a domain without devices: only the virtual I/O privilege. Source: public/physdev.h: PHYSDEVOP_*.</summary>
public static class PhysicalDeviceHypercalls
{
    private const uint PortLimit = 65536;

    /// <summary>Adds the handler to a domain.</summary>
    public static void Register(Domain domain) => domain.Hypercalls.Add(HypercallNumber.PhysdevOp, Serve);

    private static long Serve(PvVcpu vcpu, in HypercallArguments arguments)
    {
        switch (arguments.A1)
        {
            case 6: // PHYSDEVOP_set_iopl
                if (!vcpu.Guest.TryRead(arguments.A2, out uint privilege))
                {
                    return -Errno.Fault;
                }

                if (privilege > 3)
                {
                    return -Errno.Invalid;
                }

                vcpu.Traps.IoPrivilege = (int)privilege;
                return 0;
            case 7: // PHYSDEVOP_set_iobitmap: the domain has no ports that a bitmap could open to user mode.
                return !vcpu.Guest.TryRead(arguments.A2 + 8, out uint ports) ? -Errno.Fault : ports > PortLimit ? -Errno.Invalid : 0;
            case 4 or 8 or 9 or 10 or 11 or 13 or 14 or 15 or 16 or 17 or 18 or 19 or 20 or 22 or 24 or 25 or 30 or 31:
                // Interrupts, the APIC, PCI devices: an unprivileged domain's are none.
                return -Errno.Perm;
            default:
                return -Errno.NoSystemCall;
        }
    }
}
