using System.Runtime.InteropServices;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>
/// event_channel_op. Source: public/event_channel.h: EVTCHNOP_*. The operations of the FIFO ABI are refused with -ENOSYS, on which guests keep the 2-level one.
/// </summary>
public sealed class EventChannelHypercalls
{
    private readonly EventChannels _channels;

    public EventChannelHypercalls(Domain domain, EventChannels channels)
    {
        _channels = channels;
        domain.Hypercalls.Add(HypercallNumber.EventChannelOp, (vcpu, in a) => Call(vcpu, a.A1, a.A2));

        // struct evtchn_op: the command, then the arguments.
        domain.Hypercalls.Add(HypercallNumber.EventChannelOpCompat, (vcpu, in a) =>
            vcpu.Guest.TryRead(a.A1, out uint command) ? Call(vcpu, command, a.A1 + 4) : -Errno.Fault);
    }

    private long Call(PvVcpu vcpu, ulong command, ulong address) => command switch
    {
        0 => BindInterdomain(vcpu, address),
        1 => BindVirq(vcpu, address),
        2 => -Errno.Perm, // EVTCHNOP_bind_pirq: the domain has no physical interrupts.
        3 => vcpu.Guest.TryRead(address, out uint port) ? _channels.Close(port) : -Errno.Fault,
        4 => vcpu.Guest.TryRead(address, out uint port) ? _channels.Send(port) : -Errno.Fault,
        5 => Status(vcpu, address),
        6 => AllocateUnbound(vcpu, address),
        7 => BindIpi(vcpu, address),
        8 => vcpu.Guest.TryRead(address, out TwoWords bind) ? _channels.BindVcpu(bind.First, bind.Second) : -Errno.Fault,
        9 => vcpu.Guest.TryRead(address, out uint port) ? _channels.Unmask(port) : -Errno.Fault,
        10 => Reset(vcpu, address),
        _ => -Errno.NoSystemCall,
    };

    private static bool IsSelf(PvVcpu vcpu, ushort domain) => domain == DomainId.Self.Value || domain == vcpu.Domain.Id.Value;

    /// <summary>What naming another domain gives: an unprivileged one may not.</summary>
    private static long Foreign(ushort domain) => domain == 0 ? -Errno.Perm : -Errno.NoSuchProcess;

    private long AllocateUnbound(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out Unbound request))
        {
            return -Errno.Fault;
        }

        if (!IsSelf(vcpu, request.Domain))
        {
            return Foreign(request.Domain);
        }

        long result = _channels.AllocateUnbound(new DomainId(request.Remote), out uint port);
        return Answer(vcpu, address + 4, port, result);
    }

    private long BindInterdomain(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out Interdomain request))
        {
            return -Errno.Fault;
        }

        long result = _channels.BindInterdomain(new DomainId(request.Remote), request.RemotePort, out uint port);
        return Answer(vcpu, address + 8, port, result);
    }

    private long BindVirq(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out TwoWords request))
        {
            return -Errno.Fault;
        }

        long result = _channels.BindVirq(request.First, request.Second, out uint port);
        return Answer(vcpu, address + 8, port, result);
    }

    private long BindIpi(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out uint target))
        {
            return -Errno.Fault;
        }

        long result = _channels.BindIpi(target, out uint port);
        return Answer(vcpu, address + 4, port, result);
    }

    /// <summary>Gives the guest its new port, or takes the port back when the guest cannot be told.</summary>
    private long Answer(PvVcpu vcpu, ulong address, uint port, long result)
    {
        if (result == 0 && !vcpu.Guest.TryWrite(address, port))
        {
            _channels.Close(port);
            return -Errno.Fault;
        }

        return result;
    }

    private long Reset(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out ushort domain))
        {
            return -Errno.Fault;
        }

        if (!IsSelf(vcpu, domain))
        {
            return Foreign(domain);
        }

        _channels.Reset();
        return 0;
    }

    private long Status(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out StatusRecord record))
        {
            return -Errno.Fault;
        }

        if (!IsSelf(vcpu, record.Domain))
        {
            return Foreign(record.Domain);
        }

        if (!_channels.TryGet(record.Port, out EventChannel channel))
        {
            return -Errno.Invalid;
        }

        record.Status = (uint)channel.Status;
        record.Vcpu = (uint)channel.Vcpu;
        switch (channel.Status)
        {
            case EventChannelStatus.Unbound:
                record.First = channel.Remote.Value;
                break;
            case EventChannelStatus.Interdomain:
                record.First = channel.Remote.Value;

                // Domain 0's ends have no numbers of their own: they show as the guest's.
                record.Second = channel.Host?.GuestPort.Value ?? channel.RemotePort.Value;
                break;
            case EventChannelStatus.VirtualIrq:
                record.First = (uint)channel.Virq;
                break;
            default:
                break;
        }

        return vcpu.Guest.TryWrite(address, record) ? 0 : -Errno.Fault;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TwoWords
    {
        public uint First;
        public uint Second;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Unbound
    {
        public ushort Domain;
        public ushort Remote;
        private readonly uint _port;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Interdomain
    {
        public ushort Remote;
        private readonly ushort _padding;
        public uint RemotePort;
        private readonly uint _localPort;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct StatusRecord
    {
        public ushort Domain;
        private readonly ushort _padding;
        public uint Port;
        public uint Status;
        public uint Vcpu;
        public uint First;
        public uint Second;
    }
}
