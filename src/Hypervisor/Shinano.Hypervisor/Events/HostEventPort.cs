using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>
/// Domain 0's end of an event channel: a back end's. Notifications are level-like: several may become one, on either side.
/// </summary>
public sealed class HostEventPort : IDisposable
{
    private readonly EventChannels _channels;

    internal HostEventPort(EventChannels channels, EventPort guestPort, uint number, Action onGuestSend)
    {
        _channels = channels;
        GuestPort = guestPort;
        Number = number;
        OnGuestSend = onGuestSend;
    }

    /// <summary>The guest's end.</summary>
    public EventPort GuestPort { get; }

    /// <summary>This end's number, as the guest sees it in EVTCHNOP_status.</summary>
    public uint Number { get; }

    /// <summary>False once the guest closed its end; it does not become true again.</summary>
    public bool IsConnected => _channels.IsConnected(this);

    /// <summary>Called on the guest's vCPU thread: must be short and must not block.</summary>
    internal Action OnGuestSend { get; }

    /// <summary>Makes the event pending in the guest. Any thread; nothing happens when the guest has closed its end.</summary>
    public void Notify() => _channels.NotifyGuest(this);

    /// <summary>Closes domain 0's end: the guest's port is unbound again, and domain 0 may bind to it anew. A callback may be under way still.</summary>
    public void Dispose() => _channels.CloseHost(this);
}
