using Shinano.XenAbi;

namespace Shinano.Hypervisor.Hypercalls;

/// <summary>
/// Hypercalls that an unprivileged PV domain of Xen 4.17 has but may not use, with the errors it gets; guests tell "not allowed" and "switched off" from
/// "unknown" (-ENOSYS), which the table answers by itself.
/// </summary>
public static class RefusedHypercalls
{
    /// <summary>Adds the handlers to a domain.</summary>
    public static void Register(Domain domain)
    {
        foreach (HypercallNumber privileged in (HypercallNumber[])
            [HypercallNumber.PlatformOp, HypercallNumber.Sysctl, HypercallNumber.DomCtl, HypercallNumber.KexecOp, HypercallNumber.HypfsOp, HypercallNumber.DmOp,
                HypercallNumber.Mca])
        {
            domain.Hypercalls.Add(privileged, static (PvVcpu _, in HypercallArguments _) => -Errno.Perm);
        }

        // As without the options vpmu and argo.
        domain.Hypercalls.Add(HypercallNumber.XenPmuOp, static (PvVcpu _, in HypercallArguments _) => -Errno.NotSupported);
        domain.Hypercalls.Add(HypercallNumber.ArgoOp, static (PvVcpu _, in HypercallArguments _) => -Errno.NotSupported);
        domain.Hypercalls.Add(HypercallNumber.HvmOp, HvmOperation);
    }

    private static long HvmOperation(PvVcpu vcpu, in HypercallArguments arguments)
    {
        // public/hvm/hvm_op.h: HVMOP_set_param, HVMOP_get_param; struct xen_hvm_param begins with the domain.
        if ((uint)arguments.A1 > 1)
        {
            return -Errno.NoSystemCall;
        }

        if (!vcpu.Guest.TryRead(arguments.A2, out ushort domain))
        {
            return -Errno.Fault;
        }

        // A PV domain has no HVM parameters.
        return domain == DomainId.Self.Value || domain == vcpu.Domain.Id.Value ? -Errno.Invalid : -Errno.NoSuchProcess;
    }
}
