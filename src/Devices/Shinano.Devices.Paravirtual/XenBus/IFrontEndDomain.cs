using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>What a back end can reach of the guest: what the guest granted to domain 0, and the event channels that it allocated for it. Thread-safe.</summary>
public interface IFrontEndDomain
{
    /// <summary>
    /// Maps a grant: the frame can neither leave the domain nor become a page table until the page is disposed, and the guest sees the use in its entry.
    /// </summary>
    /// <param name="reference">The guest's; hostile.</param>
    /// <param name="writable">For writing too.</param>
    /// <returns>Null when the guest does not grant this, or not any more.</returns>
    IGrantedPage? TryMap(GrantRef reference, bool writable);

    /// <summary>
    /// Maps a frame that the guest names by its machine frame, as a privileged back end does for the protocols that know no grants (public/io/fbif.h, kbdif.h,
    /// console.h). The same holds as for a grant, but that the guest sees no use of it.
    /// </summary>
    /// <param name="frame">The guest's word; hostile.</param>
    /// <param name="writable">For writing too.</param>
    /// <returns>Null when the frame is not the guest's, or is a page table and would be written.</returns>
    IGrantedPage? TryMapFrame(ulong frame, bool writable);

    /// <summary>Binds domain 0's end of a port that the guest allocated for domain 0. Look at the ring afterwards: notifications before are lost.</summary>
    /// <param name="port">The guest's; hostile.</param>
    /// <param name="onNotify">Called on the guest's vCPU thread for each notification: short, not blocking, never throwing.</param>
    /// <returns>Null when the port does not wait for domain 0.</returns>
    IFrontEndPort? TryBind(EventPort port, Action onNotify);

    /// <summary>A line for the hypervisor's log of this domain, which is bounded.</summary>
    void Log(string message);
}
