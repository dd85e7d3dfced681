using System.Runtime.InteropServices;
using Shinano.Hypervisor.Hypercalls;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>event_channel_op: the guest's structures to <see cref="EventChannels"/> and back. Source: public/event_channel.h.</summary>
public sealed class EventChannelHypercalls
{
    /// <summary>PIRQs of a domain without devices (Xen's nr_static_irqs and some): known, but never permitted.</summary>
    private const uint PhysicalIrqs = 256;

    private readonly Domain _domain;
    private readonly EventChannels _channels;

    public EventChannelHypercalls(Domain domain, EventChannels channels)
    {
        _domain = domain;
        _channels = channels;
        domain.Hypercalls.Add(HypercallNumber.EventChannelOp, (vcpu, in a) => Execute(vcpu, (uint)a.A1, a.A2));
        domain.Hypercalls.Add(HypercallNumber.EventChannelOpCompat, Compat);
    }

    /// <summary>The call of before Xen 3.0.2: command and arguments in one structure. Source: public/event_channel.h: struct evtchn_op.</summary>
    private long Compat(PvVcpu vcpu, in HypercallArguments a) =>
        !vcpu.Guest.TryRead(a.A1, out uint command) ? -Errno.Fault
            : command <= (uint)EventChannelOp.Unmask ? Execute(vcpu, command, a.A1 + 4) : -Errno.NoSystemCall;

    private long Execute(PvVcpu vcpu, uint command, ulong address)
    {
        GuestAccess guest = vcpu.Guest;
        switch ((EventChannelOp)command)
        {
            case EventChannelOp.Send:
                return guest.TryRead(address, out uint sent) ? _channels.Send(sent) : -Errno.Fault;
            case EventChannelOp.Unmask:
                return guest.TryRead(address, out uint unmasked) ? _channels.Unmask(unmasked) : -Errno.Fault;
            case EventChannelOp.Close:
                return guest.TryRead(address, out uint closed) ? _channels.Close(closed) : -Errno.Fault;
            case EventChannelOp.BindVcpu:
                return guest.TryRead(address, out TwoWords bind) ? _channels.BindVcpu(bind.First, bind.Second) : -Errno.Fault;
            case EventChannelOp.SetPriority:
                return guest.TryRead(address, out TwoWords priority) ? _channels.SetPriority(priority.First, priority.Second) : -Errno.Fault;
            case EventChannelOp.BindIpi:
                return guest.TryRead(address, out uint target)
                    ? WritePort(guest, address + 4, _channels.BindIpi(target, out uint ipi), ipi)
                    : -Errno.Fault;
            case EventChannelOp.BindVirq:
                return guest.TryRead(address, out TwoWords virq)
                    ? WritePort(guest, address + 8, _channels.BindVirq(virq.First, virq.Second, out uint virqPort), virqPort)
                    : -Errno.Fault;
            case EventChannelOp.BindPirq:
                return !guest.TryRead(address, out uint pirq) ? -Errno.Fault : pirq < PhysicalIrqs ? -Errno.Perm : -Errno.Invalid;
            case EventChannelOp.BindInterdomain:
                return guest.TryRead(address, out Interdomain remote)
                    ? WritePort(guest, address + 8, _channels.BindInterdomain(new DomainId(remote.Domain), remote.Port, out uint local), local)
                    : -Errno.Fault;
            case EventChannelOp.AllocUnbound:
                return AllocateUnbound(guest, address);
            case EventChannelOp.Status:
                return GetStatus(guest, address);
            case EventChannelOp.Reset:
                return Reset(guest, address);
            case EventChannelOp.InitControl:
                return InitControl(guest, address);
            case EventChannelOp.ExpandArray:
                return guest.TryRead(address, out ulong frame) ? _channels.ExpandArray(frame) : -Errno.Fault;
            default:
                return -Errno.NoSystemCall;
        }
    }

    /// <summary>Gives the guest its new port, or takes the port back when the guest cannot be told.</summary>
    private long WritePort(GuestAccess guest, ulong address, long result, uint port)
    {
        if (result == 0 && !guest.TryWrite(address, port))
        {
            _channels.Close(port);
            return -Errno.Fault;
        }

        return result;
    }

    /// <summary>0 when the number means the caller; else the error for somebody else's number.</summary>
    private long OtherDomain(ushort domain) =>
        domain == DomainId.Self.Value || domain == _domain.Id.Value ? 0 : domain == DomainId.Zero.Value ? -Errno.Perm : -Errno.NoSuchProcess;

    private long AllocateUnbound(GuestAccess guest, ulong address)
    {
        // struct evtchn_alloc_unbound: dom, remote_dom, port.
        if (!guest.TryRead(address, out uint domains))
        {
            return -Errno.Fault;
        }

        long error = OtherDomain((ushort)domains);
        return error != 0
            ? error
            : WritePort(guest, address + 4, _channels.AllocateUnbound(new DomainId((ushort)(domains >> 16)), out uint port), port);
    }

    private long GetStatus(GuestAccess guest, ulong address)
    {
        if (!guest.TryRead(address, out StatusRequest request))
        {
            return -Errno.Fault;
        }

        long error = OtherDomain(request.Domain);
        if (error == 0)
        {
            error = _channels.GetStatus(request.Port, out EventChannelStatus status, out uint vcpu, out DomainId remote, out uint detail);
            request.Status = (uint)status;
            request.Vcpu = vcpu;
            switch (status)
            {
                case EventChannelStatus.Unbound:
                    request.Detail = (request.Detail & 0xFFFF_0000) | remote.Value;
                    break;
                case EventChannelStatus.Interdomain:
                    request.Detail = (request.Detail & 0xFFFF_0000) | remote.Value;
                    request.RemotePort = detail;
                    break;
                case EventChannelStatus.VirtualIrq:
                    request.Detail = detail;
                    break;
            }
        }

        return error == 0 && !guest.TryWrite(address, request) ? -Errno.Fault : error;
    }

    private long Reset(GuestAccess guest, ulong address)
    {
        if (!guest.TryRead(address, out ushort domain))
        {
            return -Errno.Fault;
        }

        long error = OtherDomain(domain);
        if (error == 0)
        {
            _channels.Reset();
        }

        return error;
    }

    private long InitControl(GuestAccess guest, ulong address)
    {
        if (!guest.TryRead(address, out ControlRequest request))
        {
            return -Errno.Fault;
        }

        long error = _channels.InitControl(request.Frame, request.Offset, request.Vcpu);
        return error == 0 && !guest.TryWrite(address + 16, (byte)EventFifo.LinkBits) ? -Errno.Fault : error;
    }

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct TwoWords
    {
        public readonly uint First;
        public readonly uint Second;
    }

    /// <summary>struct evtchn_bind_interdomain, its IN part.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Interdomain
    {
        public readonly ushort Domain;
        public readonly uint Port;
    }

    /// <summary>struct evtchn_status.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct StatusRequest
    {
        public ushort Domain;
        public uint Port;
        public uint Status;
        public uint Vcpu;
        public uint Detail;
        public uint RemotePort;
    }

    /// <summary>struct evtchn_init_control, its IN part.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct ControlRequest
    {
        public readonly ulong Frame;
        public readonly uint Offset;
        public readonly uint Vcpu;
    }
}
