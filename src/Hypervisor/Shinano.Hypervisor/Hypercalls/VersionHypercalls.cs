using System.Text;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Hypercalls;

/// <summary>
/// xen_version, as Xen 4.17 answers an unprivileged 64-bit PV domain. Source: public/version.h: XENVER_*; public/features.h: XENFEAT_*.
/// </summary>
public static class VersionHypercalls
{
    private const int Major = 4;
    private const int Minor = 17;

    /// <summary>HYPERVISOR_VIRT_START of 64-bit guests.</summary>
    private const ulong HypervisorStart = 0xFFFF_8000_0000_0000;

    /// <summary>Xen's common/kernel.c, for a PV domain that is not domain 0.</summary>
    private const XenFeatures Features = XenFeatures.MmuPtUpdatePreserveAd | XenFeatures.HighmemAssist | XenFeatures.GnttabMapAvailBits
        | XenFeatures.MemoryOpVnodeSupported | XenFeatures.DirectMapped;

    /// <summary>Adds the handler to a domain.</summary>
    public static void Register(Domain domain) => domain.Hypercalls.Add(HypercallNumber.XenVersion, Serve);

    private static long Serve(PvVcpu vcpu, in HypercallArguments arguments)
    {
        ulong address = arguments.A2;
        switch ((uint)arguments.A1)
        {
            case 0: // XENVER_version
                return (Major << 16) | Minor;
            case 1: // XENVER_extraversion
                return Text(vcpu, address, ".5", 16);
            case 2: // XENVER_compile_info: compiler[64], compile_by[16], compile_domain[32], compile_date[32].
                byte[] information = new byte[64 + 16 + 32 + 32];
                Encoding.ASCII.GetBytes($".NET {Environment.Version}", information);
                Encoding.ASCII.GetBytes("shinano", information.AsSpan(64));
                Encoding.ASCII.GetBytes("localhost", information.AsSpan(64 + 16));
                return vcpu.Guest.TryWrite(address, information) ? 0 : -Errno.Fault;
            case 3: // XENVER_capabilities
                return Text(vcpu, address, "xen-3.0-x86_64 ", 1024);
            case 4: // XENVER_changeset
                return Text(vcpu, address, "", 64);
            case 5: // XENVER_platform_parameters
                return vcpu.Guest.TryWrite(address, HypervisorStart) ? 0 : -Errno.Fault;
            case 6: // XENVER_get_features
                if (!vcpu.Guest.TryRead(address, out uint submap))
                {
                    return -Errno.Fault;
                }

                return submap != 0 ? -Errno.Invalid : vcpu.Guest.TryWrite(address + 4, (uint)Features) ? 0 : -Errno.Fault;
            case 7: // XENVER_pagesize
                return address != 0 ? -Errno.Invalid : 4096;
            case 8: // XENVER_guest_handle: the UUID, as it is written.
                return vcpu.Guest.TryWrite(address, vcpu.Domain.Uuid.ToByteArray(bigEndian: true)) ? 0 : -Errno.Fault;
            case 9: // XENVER_commandline: not for unprivileged domains.
                return Text(vcpu, address, "<denied>", 1024);
            case 10: // XENVER_build_id
                return -Errno.Perm;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private static long Text(PvVcpu vcpu, ulong address, string text, int size)
    {
        byte[] bytes = new byte[size];
        Encoding.ASCII.GetBytes(text, bytes);
        return vcpu.Guest.TryWrite(address, bytes) ? 0 : -Errno.Fault;
    }
}
