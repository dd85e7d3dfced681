using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>One port of a domain. Source: Xen's struct evtchn.</summary>
internal struct EventChannel
{
    public EventChannelStatus Status;

    /// <summary>vCPU that is notified.</summary>
    public int Vcpu;

    /// <summary>VIRQ of <see cref="EventChannelStatus.VirtualIrq"/>.</summary>
    public int Virq;

    /// <summary>Who may bind to an unbound port; who is at the other end of an interdomain one.</summary>
    public DomainId Remote;

    /// <summary>The other end when that is a port of this domain too.</summary>
    public EventPort RemotePort;

    /// <summary>The other end when that is a back end of domain 0.</summary>
    public HostEventPort? Host;
}
