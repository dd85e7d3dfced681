using System.Diagnostics.CodeAnalysis;
using Shinano.Hypervisor.Hypercalls;
using Shinano.SavedState;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>
/// A domain's event channels. The other end of a channel is a vCPU (IPI), a virtual interrupt, another port of the same domain, or a back end of this
/// process as domain 0. Operations return 0, or a negated <see cref="Errno"/>. Source: public/event_channel.h.
/// </summary>
/// <remarks>
/// Thread-safe. Nothing here waits; callbacks of back ends run outside the lock. The lock is held while <see cref="PvVcpu.Notify"/> is called, so that
/// no condition of <see cref="Traps.VcpuScheduling.BlockUntil"/> may take it: of this class such a condition uses <see cref="IsPending"/> only.
/// </remarks>
public sealed class EventChannels
{
    /// <summary>Highest port of a domain, as xl's event_channels when it is not given.</summary>
    public const uint DefaultMaximumPort = 1023;

    private readonly Domain _domain;
    private readonly UpcallSignal _signal;
    private readonly Lock _lock = new();
    private readonly PortTable _ports;
    private readonly EventChannel?[,] _virqs;
    private readonly EventAbi _abi;
    private uint _nextHostPort = 1;

    /// <param name="domain">With its number of vCPUs known; the vCPUs themselves and the shared info frame come before the first event.</param>
    /// <param name="frames">For the pages of the FIFO ABI; without them guests have the 2-level ABI only.</param>
    /// <param name="maximumPort">Highest port number.</param>
    public EventChannels(Domain domain, IGuestFrames? frames = null, uint maximumPort = DefaultMaximumPort)
    {
        _domain = domain;
        _signal = new UpcallSignal(domain);
        _ports = new PortTable(domain, maximumPort);
        _virqs = new EventChannel?[domain.MaximumVcpus, VirtualIrq.Count];
        _abi = new EventAbi(domain, _signal, frames, _ports);
    }

    /// <summary>Whether the guest has gone over to the FIFO ABI.</summary>
    public bool UsesFifo => _abi.UsesFifo;

    /// <summary>Allocates a port of the guest and binds domain 0's end to it, as the tool stack and xenconsoled do together.</summary>
    /// <param name="onGuestSend">Called for each notification by the guest, on its vCPU's thread; short, not blocking.</param>
    /// <returns>Null when the guest has no free port.</returns>
    public HostEventPort? AllocateForHost(Action onGuestSend)
    {
        lock (_lock)
        {
            return TryAllocate(out EventChannel? channel) ? Connect(channel, onGuestSend) : null;
        }
    }

    /// <summary>Binds domain 0's end to a port that the guest allocated for it. Look at the ring afterwards: notifications before are lost.</summary>
    /// <returns>Null when the port is not one that waits for domain 0.</returns>
    public HostEventPort? BindForHost(EventPort guestPort, Action onGuestSend)
    {
        lock (_lock)
        {
            return _ports.TryGet(guestPort.Value, out EventChannel? channel)
                && channel.Status == EventChannelStatus.Unbound && channel.RemoteDomain == DomainId.Zero
                ? Connect(channel, onGuestSend)
                : null;
        }
    }

    /// <summary>Sends a VIRQ to a vCPU; nothing happens when it is not bound. A global one goes where vCPU 0's was bound to.</summary>
    public void SendVirq(int vcpu, int virq)
    {
        lock (_lock)
        {
            if (_virqs[VirtualIrq.IsGlobal(virq) ? 0 : vcpu, virq] is { } channel)
            {
                _abi.Delivery.SetPending(channel.Vcpu, channel);
            }
        }
    }

    /// <summary>Whether a port's pending bit is set, for SCHEDOP_poll. Takes no lock.</summary>
    public bool IsPending(uint port) => _abi.Delivery.IsPending(port);

    /// <summary>Whether the port is bound to anything.</summary>
    public bool IsBound(uint port)
    {
        lock (_lock)
        {
            return _ports.TryGet(port, out EventChannel? channel) && channel.IsUsable;
        }
    }

    /// <summary>Says whether a vCPU polls, so that events wake it which it masks. Before it looks at pending bits.</summary>
    public void SetPolling(PvVcpu vcpu, bool polls)
    {
        if (polls)
        {
            _signal.BeginPoll(vcpu);
        }
        else
        {
            _signal.EndPoll(vcpu);
        }
    }

    /// <summary>Has a vCPU look at every event, as its selector may have been lost in a move of struct vcpu_info.</summary>
    public void SelectAll(PvVcpu vcpu) => _signal.SelectAll(vcpu);

    /// <summary>Closes all ports and goes back to the 2-level ABI (EVTCHNOP_reset).</summary>
    public void Reset()
    {
        lock (_lock)
        {
            foreach (EventChannel channel in _ports.All)
            {
                Close(channel);
            }

            _abi.Reset();
        }
    }

    /// <summary>Writes the channels of a domain that is paused.</summary>
    internal void Save(StateWriter writer)
    {
        lock (_lock)
        {
            new EventState(_domain, _ports, _virqs, _abi).Save(writer);
        }
    }

    /// <summary>Reads what <see cref="Save"/> wrote, into a domain without ports.</summary>
    internal void Load(StateReader reader)
    {
        lock (_lock)
        {
            new EventState(_domain, _ports, _virqs, _abi).Load(reader);
        }
    }

    internal long AllocateUnbound(DomainId remote, out uint port)
    {
        lock (_lock)
        {
            port = 0;
            if (!TryAllocate(out EventChannel? channel))
            {
                return -Errno.NoSpace;
            }

            channel.Status = EventChannelStatus.Unbound;
            channel.RemoteDomain = Resolve(remote);
            port = channel.Port;
            return 0;
        }
    }

    internal long BindInterdomain(DomainId remote, uint remotePort, out uint port)
    {
        port = 0;
        if (Resolve(remote) is var peerDomain && peerDomain != _domain.Id)
        {
            // Domain 0's ports are all its back ends' own. Others are domains of other processes.
            return peerDomain == DomainId.Zero ? -Errno.Invalid : -Errno.NoSuchProcess;
        }

        lock (_lock)
        {
            if (!TryAllocate(out EventChannel? channel))
            {
                return -Errno.NoSpace;
            }

            if (!_ports.TryGet(remotePort, out EventChannel? peer) || peer.Status != EventChannelStatus.Unbound || peer.RemoteDomain != _domain.Id)
            {
                return -Errno.Invalid;
            }

            channel.Status = EventChannelStatus.Interdomain;
            channel.RemoteDomain = _domain.Id;
            channel.Peer = peer;
            peer.Status = EventChannelStatus.Interdomain;
            peer.RemoteDomain = _domain.Id;
            peer.Peer = channel;

            // Notifications may have been lost while the other end was unbound.
            _abi.Delivery.SetPending(channel.Vcpu, channel);
            port = channel.Port;
            return 0;
        }
    }

    internal long BindVirq(uint virq, uint vcpu, out uint port)
    {
        port = 0;
        if (virq >= VirtualIrq.Count || (VirtualIrq.IsGlobal((int)virq) && vcpu != 0))
        {
            return -Errno.Invalid;
        }

        if (vcpu >= (uint)_domain.Vcpus.Count)
        {
            return -Errno.NoEntry;
        }

        lock (_lock)
        {
            if (_virqs[vcpu, virq] is not null)
            {
                return -Errno.Exists;
            }

            if (!TryAllocate(out EventChannel? channel))
            {
                return -Errno.NoSpace;
            }

            channel.Status = EventChannelStatus.VirtualIrq;
            channel.Vcpu = _domain.Vcpus[(int)vcpu];
            channel.Virq = (int)virq;
            _virqs[vcpu, virq] = channel;
            port = channel.Port;
            return 0;
        }
    }

    internal long BindIpi(uint vcpu, out uint port)
    {
        port = 0;
        if (vcpu >= (uint)_domain.Vcpus.Count)
        {
            return -Errno.NoEntry;
        }

        lock (_lock)
        {
            if (!TryAllocate(out EventChannel? channel))
            {
                return -Errno.NoSpace;
            }

            channel.Status = EventChannelStatus.InterProcessor;
            channel.Vcpu = _domain.Vcpus[(int)vcpu];
            port = channel.Port;
            return 0;
        }
    }

    internal long Close(uint port)
    {
        lock (_lock)
        {
            return _ports.TryGet(port, out EventChannel? channel) ? Close(channel) : -Errno.Invalid;
        }
    }

    internal long Send(uint port)
    {
        HostEventPort? host = null;
        lock (_lock)
        {
            if (!_ports.TryGet(port, out EventChannel? channel))
            {
                return -Errno.Invalid;
            }

            switch (channel.Status)
            {
                case EventChannelStatus.Interdomain when channel.Host is not null:
                    host = channel.Host;
                    break;
                case EventChannelStatus.Interdomain:
                    _abi.Delivery.SetPending(channel.Peer!.Vcpu, channel.Peer);
                    break;
                case EventChannelStatus.InterProcessor:
                    _abi.Delivery.SetPending(channel.Vcpu, channel);
                    break;
                case EventChannelStatus.Unbound:
                    break;
                default:
                    return -Errno.Invalid;
            }
        }

        host?.OnGuestSend();
        return 0;
    }

    /// <summary>What EVTCHNOP_status answers.</summary>
    internal long GetStatus(uint port, out EventChannelStatus status, out uint vcpu, out DomainId remote, out uint detail)
    {
        status = EventChannelStatus.Closed;
        remote = default;
        vcpu = 0;
        detail = 0;
        lock (_lock)
        {
            if (!_ports.TryGet(port, out EventChannel? channel))
            {
                return -Errno.Invalid;
            }

            status = channel.Status;
            vcpu = (uint)channel.Vcpu.Id;
            remote = channel.RemoteDomain;
            detail = channel.Status switch
            {
                EventChannelStatus.Interdomain => channel.Host?.Number ?? channel.Peer!.Port,
                EventChannelStatus.VirtualIrq => (uint)channel.Virq,
                _ => 0,
            };
            return 0;
        }
    }

    internal long BindVcpu(uint port, uint vcpu)
    {
        if (vcpu >= (uint)_domain.Vcpus.Count)
        {
            return -Errno.NoEntry;
        }

        lock (_lock)
        {
            if (!_ports.TryGet(port, out EventChannel? channel)
                || !(channel.Status is EventChannelStatus.Unbound or EventChannelStatus.Interdomain
                    || (channel.Status == EventChannelStatus.VirtualIrq && VirtualIrq.IsGlobal(channel.Virq))))
            {
                return -Errno.Invalid;
            }

            channel.Vcpu = _domain.Vcpus[(int)vcpu];
            return 0;
        }
    }

    internal long Unmask(uint port)
    {
        lock (_lock)
        {
            if (!_ports.TryGet(port, out EventChannel? channel))
            {
                return -Errno.Invalid;
            }

            if (channel.IsUsable)
            {
                _abi.Delivery.Unmask(channel);
            }

            return 0;
        }
    }

    internal long SetPriority(uint port, uint priority)
    {
        lock (_lock)
        {
            if (!_ports.TryGet(port, out EventChannel? channel))
            {
                return -Errno.Invalid;
            }

            return _abi.SetPriority(channel, priority);
        }
    }

    internal long InitControl(ulong frame, uint offset, uint vcpu)
    {
        lock (_lock)
        {
            return _abi.InitControl(frame, offset, vcpu);
        }
    }

    internal long ExpandArray(ulong frame)
    {
        lock (_lock)
        {
            return _abi.ExpandArray(frame);
        }
    }

    internal void NotifyGuest(HostEventPort host)
    {
        lock (_lock)
        {
            if (Find(host) is { } channel)
            {
                _abi.Delivery.SetPending(channel.Vcpu, channel);
            }
        }
    }

    internal bool IsConnected(HostEventPort host)
    {
        lock (_lock)
        {
            return Find(host) is not null;
        }
    }

    internal void CloseHost(HostEventPort host)
    {
        lock (_lock)
        {
            if (Find(host) is { } channel)
            {
                channel.Host = null;
                channel.Status = EventChannelStatus.Unbound;
                channel.RemoteDomain = DomainId.Zero;
            }
        }
    }

    private EventChannel? Find(HostEventPort host) =>
        _ports.TryGet(host.GuestPort.Value, out EventChannel? channel) && channel.Host == host ? channel : null;

    private HostEventPort Connect(EventChannel channel, Action onGuestSend)
    {
        channel.Status = EventChannelStatus.Interdomain;
        channel.RemoteDomain = DomainId.Zero;
        channel.Peer = null;
        channel.Host = new HostEventPort(this, new EventPort(channel.Port), _nextHostPort++, onGuestSend);
        return channel.Host;
    }

    private DomainId Resolve(DomainId domain) => domain == DomainId.Self ? _domain.Id : domain;

    private bool TryAllocate([NotNullWhen(true)] out EventChannel? channel)
    {
        if (!_ports.TryFindFree(_abi.Delivery.PortLimit, _abi.Delivery.IsBusy, out channel))
        {
            return false;
        }

        _abi.Delivery.Initialise(channel);
        return true;
    }

    private long Close(EventChannel channel)
    {
        switch (channel.Status)
        {
            case EventChannelStatus.Closed:
                return -Errno.Invalid;
            case EventChannelStatus.VirtualIrq:
                int vcpu = VirtualIrq.IsGlobal(channel.Virq) ? 0 : channel.Vcpu.Id;
                _virqs[vcpu, channel.Virq] = null;
                break;
            case EventChannelStatus.Interdomain when channel.Peer is { } peer:
                peer.Status = EventChannelStatus.Unbound;
                peer.RemoteDomain = _domain.Id;
                peer.Peer = null;
                break;
        }

        // So that the next use of the port does not begin with an old event.
        _abi.Delivery.ClearPending(channel);
        channel.PendingWithoutWord = false;
        channel.Status = EventChannelStatus.Closed;
        channel.Vcpu = _domain.Vcpus[0];
        channel.RemoteDomain = default;
        channel.Peer = null;
        channel.Host = null;
        return 0;
    }
}
