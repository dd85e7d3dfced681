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
            [HypercallNumber.PlatformOp, HypercallNumber.Sysctl, HypercallNumber.DomCtl, HypercallNumber.KexecOp, HypercallNumber.HypfsOp, HypercallNumber.DmOp])
        {
            domain.Hypercalls.Add(privileged, static (PvVcpu _, in HypercallArguments _) => -Errno.Perm);
        }

        // As without the options vpmu and argo.
        domain.Hypercalls.Add(HypercallNumber.XenPmuOp, static (PvVcpu _, in HypercallArguments _) => -Errno.NotSupported);
        domain.Hypercalls.Add(HypercallNumber.ArgoOp, static (PvVcpu _, in HypercallArguments _) => -Errno.NotSupported);
    }
}
