namespace Shinano.XenAbi;

/// <summary>An event channel's port. Source: public/event_channel.h: evtchn_port_t. Port 0 is never valid.</summary>
public readonly record struct EventPort(uint Value)
{
    public override string ToString() => $"port {Value}";
}
