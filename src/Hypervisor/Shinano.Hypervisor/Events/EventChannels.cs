using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>
/// A domain's event channels. Thread-safe. Nothing here waits; callbacks of back ends run outside the lock. The lock may be held while
/// <see cref="PvVcpu.Notify"/> is called, so no condition of <see cref="Traps.VcpuScheduling.BlockUntil"/> takes it.
/// </summary>
public sealed class EventChannels
{
    private readonly Domain _domain;
    private readonly EventChannel[] _channels;
    private readonly uint[,] _virqs;
    private readonly bool[] _polling;
    private readonly TwoLevelEvents _bits;
    private readonly Lock _lock = new();

    /// <param name="domain">With its number of vCPUs known; the vCPUs themselves and the shared info frame come before the first event.</param>
    /// <param name="maximumPort">Highest port number (xl's event_channels, 1023 when not given).</param>
    public EventChannels(Domain domain, int maximumPort = 1023)
    {
        _domain = domain;
        _channels = new EventChannel[Math.Clamp(maximumPort + 1, 2, TwoLevelEvents.PortLimit)];
        _virqs = new uint[domain.MaximumVcpus, VirtualIrq.Count];
        _polling = new bool[domain.MaximumVcpus];
        _bits = new TwoLevelEvents(domain);
    }

    /// <summary>Allocates a port of the guest and binds domain 0's end to it, as the tool stack and xenconsoled do together.</summary>
    /// <param name="onGuestSend">Called for each notification by the guest, on its vCPU's thread; short, not blocking.</param>
    /// <returns>Null when the guest has no free port.</returns>
    public HostEventPort? AllocateForHost(Action onGuestSend)
    {
        lock (_lock)
        {
            return TryAllocate(out uint port) ? Connect(port, onGuestSend) : null;
        }
    }

    /// <summary>Binds domain 0's end to a port that the guest allocated for it. Look at the ring afterwards: notifications before are lost.</summary>
    /// <returns>Null when the port is not one that waits for domain 0.</returns>
    public HostEventPort? BindForHost(EventPort guestPort, Action onGuestSend)
    {
        lock (_lock)
        {
            return IsValid(guestPort.Value) && _channels[guestPort.Value] is { Status: EventChannelStatus.Unbound, Remote.Value: 0 }
                ? Connect(guestPort.Value, onGuestSend)
                : null;
        }
    }

    /// <summary>Sends a VIRQ to a vCPU; nothing happens when it is not bound. A global one goes where vCPU 0's was bound to.</summary>
    public void SendVirq(int vcpu, int virq)
    {
        lock (_lock)
        {
            uint port = _virqs[VirtualIrq.IsGlobal(virq) ? 0 : vcpu, virq];
            if (port != 0)
            {
                SetPending(port);
            }
        }
    }

    /// <summary>Whether a port is pending, for SCHEDOP_poll. Takes no lock.</summary>
    public bool IsPending(uint port) => _bits.IsPending(port);

    /// <summary>Says whether a vCPU polls, so that events wake it which it masks.</summary>
    public void SetPolling(PvVcpu vcpu, bool polls)
    {
        // A full barrier: the flag is set before the poller looks at the bits, and a sender sets its bit before it looks at the flag.
        Volatile.Write(ref _polling[vcpu.Id], polls);
        Interlocked.MemoryBarrier();
    }

    /// <summary>Whether the number could be a port's.</summary>
    public bool IsValid(uint port) => port != 0 && port < (uint)_channels.Length;

    /// <summary>Closes all ports (EVTCHNOP_reset).</summary>
    public void Reset()
    {
        lock (_lock)
        {
            for (uint port = 1; port < (uint)_channels.Length; port++)
            {
                CloseLocked(port);
            }
        }
    }

    internal long AllocateUnbound(DomainId remote, out uint port)
    {
        lock (_lock)
        {
            if (!TryAllocate(out port))
            {
                return -Errno.NoSpace;
            }

            _channels[port].Status = EventChannelStatus.Unbound;
            _channels[port].Remote = remote == DomainId.Self ? _domain.Id : remote;
            return 0;
        }
    }

    internal long BindInterdomain(DomainId remote, uint remotePort, out uint port)
    {
        port = 0;
        if (remote != DomainId.Self && remote != _domain.Id)
        {
            // No service of domain 0 waits at a port of its own; other domains cannot be reached.
            return remote == DomainId.Zero ? -Errno.Invalid : -Errno.NoSuchProcess;
        }

        lock (_lock)
        {
            if (!IsValid(remotePort) || _channels[remotePort].Status != EventChannelStatus.Unbound || _channels[remotePort].Remote != _domain.Id)
            {
                return -Errno.Invalid;
            }

            if (!TryAllocate(out port))
            {
                return -Errno.NoSpace;
            }

            _channels[port].Status = EventChannelStatus.Interdomain;
            _channels[port].Remote = _domain.Id;
            _channels[port].RemotePort = new EventPort(remotePort);
            _channels[remotePort].Status = EventChannelStatus.Interdomain;
            _channels[remotePort].RemotePort = new EventPort(port);

            // Notifications may have been lost while the port was unbound.
            SetPending(port);
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
            if (_virqs[vcpu, virq] != 0)
            {
                return -Errno.Exists;
            }

            if (!TryAllocate(out port))
            {
                return -Errno.NoSpace;
            }

            _channels[port].Status = EventChannelStatus.VirtualIrq;
            _channels[port].Vcpu = (int)vcpu;
            _channels[port].Virq = (int)virq;
            _virqs[vcpu, virq] = port;
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
            if (!TryAllocate(out port))
            {
                return -Errno.NoSpace;
            }

            _channels[port].Status = EventChannelStatus.InterProcessor;
            _channels[port].Vcpu = (int)vcpu;
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
            if (!IsValid(port))
            {
                return -Errno.Invalid;
            }

            ref EventChannel channel = ref _channels[port];
            bool movable = channel.Status is EventChannelStatus.Unbound or EventChannelStatus.Interdomain
                || (channel.Status == EventChannelStatus.VirtualIrq && VirtualIrq.IsGlobal(channel.Virq));
            if (!movable)
            {
                return -Errno.Invalid;
            }

            channel.Vcpu = (int)vcpu;
            return 0;
        }
    }

    internal long Close(uint port)
    {
        lock (_lock)
        {
            return IsValid(port) && CloseLocked(port) ? 0 : -Errno.Invalid;
        }
    }

    internal long Send(uint port)
    {
        HostEventPort? host;
        lock (_lock)
        {
            if (!IsValid(port))
            {
                return -Errno.Invalid;
            }

            ref EventChannel channel = ref _channels[port];
            host = channel.Host;
            switch (channel.Status)
            {
                case EventChannelStatus.Interdomain when host is null:
                    SetPending(channel.RemotePort.Value);
                    return 0;
                case EventChannelStatus.Interdomain:
                    break;
                case EventChannelStatus.InterProcessor:
                    SetPending(port);
                    return 0;
                case EventChannelStatus.Unbound:
                    return 0;
                default:
                    return -Errno.Invalid;
            }
        }

        host.OnGuestSend();
        return 0;
    }

    internal long Unmask(uint port)
    {
        lock (_lock)
        {
            if (!IsValid(port) || _channels[port].Status == EventChannelStatus.Closed)
            {
                return -Errno.Invalid;
            }

            _bits.Unmask(_domain.Vcpus[_channels[port].Vcpu], port);
            return 0;
        }
    }

    /// <summary>A copy of a port's record; false for a number that is no port's.</summary>
    internal bool TryGet(uint port, out EventChannel channel)
    {
        lock (_lock)
        {
            channel = IsValid(port) ? _channels[port] : default;
            return IsValid(port);
        }
    }

    internal bool IsConnected(HostEventPort host)
    {
        lock (_lock)
        {
            return _channels[host.GuestPort.Value].Host == host;
        }
    }

    internal void NotifyGuest(HostEventPort host)
    {
        lock (_lock)
        {
            if (_channels[host.GuestPort.Value].Host == host)
            {
                SetPending(host.GuestPort.Value);
            }
        }
    }

    internal void CloseHost(HostEventPort host)
    {
        lock (_lock)
        {
            ref EventChannel channel = ref _channels[host.GuestPort.Value];
            if (channel.Host == host)
            {
                channel.Host = null;
                channel.Status = EventChannelStatus.Unbound;
            }
        }
    }

    private HostEventPort Connect(uint port, Action onGuestSend)
    {
        HostEventPort host = new(this, new EventPort(port), onGuestSend);
        ref EventChannel channel = ref _channels[port];
        channel.Status = EventChannelStatus.Interdomain;
        channel.Remote = DomainId.Zero;
        channel.Host = host;
        return host;
    }

    private bool TryAllocate(out uint port)
    {
        for (port = 1; port < (uint)_channels.Length; port++)
        {
            if (_channels[port].Status == EventChannelStatus.Closed)
            {
                _channels[port] = default;
                return true;
            }
        }

        port = 0;
        return false;
    }

    private bool CloseLocked(uint port)
    {
        ref EventChannel channel = ref _channels[port];
        switch (channel.Status)
        {
            case EventChannelStatus.Closed:
                return false;
            case EventChannelStatus.VirtualIrq:
                // A global VIRQ that was moved to another vCPU is kept under vCPU 0.
                _virqs[VirtualIrq.IsGlobal(channel.Virq) ? 0 : channel.Vcpu, channel.Virq] = 0;
                break;
            case EventChannelStatus.Interdomain when channel.Host is null:
                ref EventChannel other = ref _channels[channel.RemotePort.Value];
                other.Status = EventChannelStatus.Unbound;
                other.Remote = _domain.Id;
                other.RemotePort = default;
                break;
            default:
                break;
        }

        channel = default;
        _bits.ClearPending(port);
        return true;
    }

    private void SetPending(uint port)
    {
        if (!_bits.SetPending(_domain.Vcpus[_channels[port].Vcpu], port))
        {
            return;
        }

        for (int i = 0; i < _polling.Length; i++)
        {
            if (Volatile.Read(ref _polling[i]))
            {
                _domain.Vcpus[i].Notify();
            }
        }
    }
}
