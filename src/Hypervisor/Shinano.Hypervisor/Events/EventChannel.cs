using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>One port of a domain. Guarded by the lock of <see cref="EventChannels"/>.</summary>
internal sealed class EventChannel(uint port)
{
    public uint Port { get; } = port;

    public EventChannelStatus Status { get; set; }

    /// <summary>Bound to something.</summary>
    public bool IsUsable => Status != EventChannelStatus.Closed;

    /// <summary>Whose upcall the event is.</summary>
    public required PvVcpu Vcpu { get; set; }

    /// <summary>Bound to: a domain that may connect, or that has.</summary>
    public DomainId RemoteDomain { get; set; }

    /// <summary>Peer of an interdomain channel inside the same domain.</summary>
    public EventChannel? Peer { get; set; }

    /// <summary>Domain 0's end, when a back end of this process is the peer.</summary>
    public HostEventPort? Host { get; set; }

    /// <summary>VIRQ of <see cref="EventChannelStatus.VirtualIrq"/>.</summary>
    public int Virq { get; set; }

    /// <summary>FIFO queue for the next event, 0 to 15.</summary>
    public int Priority { get; set; } = EventFifo.DefaultPriority;

    /// <summary>Raised while the FIFO array had no page for the port.</summary>
    public bool PendingWithoutWord { get; set; }

    /// <summary>vCPU of the FIFO queue on which the event was last.</summary>
    public int LastVcpu { get; set; }

    /// <summary>Priority of the FIFO queue on which the event was last.</summary>
    public int LastPriority { get; set; }
}
