namespace Shinano.Hypervisor.Events;

/// <summary>What a port is. Source: public/event_channel.h: EVTCHNSTAT_*; the values are the ABI's.</summary>
public enum EventChannelStatus
{
    Closed = 0,
    Unbound = 1,
    Interdomain = 2,
    PhysicalIrq = 3,
    VirtualIrq = 4,
    InterProcessor = 5,
}
