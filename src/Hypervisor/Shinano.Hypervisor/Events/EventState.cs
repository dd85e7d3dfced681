using Shinano.SavedState;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>Writes a domain's event channels for a saved domain and reads them back. Under the lock of <see cref="EventChannels"/>.</summary>
/// <remarks>
/// A channel to a back end is saved as one that waits for domain 0: back ends are not saved, they bind anew. Pending and mask bits are the guest's memory.
/// </remarks>
internal sealed class EventState(Domain domain, PortTable ports, EventChannel?[,] virqs, EventAbi abi)
{
    private const uint MostPorts = 1 << 17;

    public void Save(StateWriter writer)
    {
        writer.Mark("EVTC"u8);
        List<EventChannel> used = [.. ports.All.Where(channel => channel.IsUsable)];
        writer.Put((uint)ports.Count);
        writer.PutAll(used, (w, channel) =>
        {
            bool isHosts = channel is { Status: EventChannelStatus.Interdomain, Host: not null };
            w.Put(channel.Port);
            w.Put((byte)(isHosts ? EventChannelStatus.Unbound : channel.Status));
            w.Put((byte)channel.Vcpu.Id);
            w.PutFlag(channel.RemoteDomain == domain.Id);
            w.Put(channel.RemoteDomain.Value);
            w.Put(channel.Peer?.Port ?? 0);
            w.Put((byte)channel.Virq);
        });

        // What the FIFO ABI remembers of ports outlives their closing.
        writer.PutAll([.. ports.All], (w, channel) =>
        {
            w.Put((byte)channel.Priority);
            w.PutFlag(channel.PendingWithoutWord);
            w.Put((byte)channel.LastVcpu);
            w.Put((byte)channel.LastPriority);
        });
        abi.Save(writer);
    }

    /// <summary>Into a domain that has no port yet.</summary>
    public void Load(StateReader reader)
    {
        reader.Expect("EVTC"u8);
        ports.GrowTo(reader.GetCount(MostPorts));
        uint used = reader.GetCount(MostPorts);
        List<(EventChannel Channel, uint Peer)> pairs = [];
        for (uint i = 0; i < used; i++)
        {
            LoadChannel(reader, pairs);
        }

        foreach ((EventChannel channel, uint peer) in pairs)
        {
            StateReader.Demand(
                ports.TryGet(peer, out EventChannel? other) && other.Status == EventChannelStatus.Interdomain
                && pairs.Any(pair => pair.Channel == other && pair.Peer == channel.Port),
                $"port {channel.Port} has a peer that does not know it");
            channel.Peer = other;
        }

        List<EventChannel> all = [.. ports.All];
        StateReader.Demand(reader.GetCount(MostPorts) == all.Count, "the ports do not fit their table");
        foreach (EventChannel channel in all)
        {
            channel.Priority = (int)Within(reader.Get<byte>(), EventFifo.Queues, "priority");
            channel.PendingWithoutWord = reader.GetFlag();
            channel.LastVcpu = (int)Within(reader.Get<byte>(), domain.Vcpus.Count, "vCPU");
            channel.LastPriority = (int)Within(reader.Get<byte>(), EventFifo.Queues, "priority");
        }

        abi.Load(reader);
    }

    private static uint Within(uint value, int limit, string what) => value < (uint)limit ? value : throw StateReader.Senseless($"there is no {what} {value}");

    private void LoadChannel(StateReader reader, List<(EventChannel Channel, uint Peer)> pairs)
    {
        uint port = reader.Get<uint>();
        StateReader.Demand(
            port != 0 && ports.TryGet(port, out EventChannel? found) && !found.IsUsable, $"port {port} is in use twice, or is no port");
        ports.TryGet(port, out EventChannel? channel);
        channel!.Status = (EventChannelStatus)reader.Get<byte>();
        channel.Vcpu = domain.Vcpus[(int)Within(reader.Get<byte>(), domain.Vcpus.Count, "vCPU")];
        bool isOwn = reader.GetFlag();
        ushort remote = reader.Get<ushort>();
        channel.RemoteDomain = isOwn ? domain.Id : new DomainId(remote);
        uint peer = reader.Get<uint>();
        channel.Virq = reader.Get<byte>();
        switch (channel.Status)
        {
            case EventChannelStatus.Unbound or EventChannelStatus.InterProcessor:
                break;
            case EventChannelStatus.Interdomain:
                pairs.Add((channel, peer));
                break;
            case EventChannelStatus.VirtualIrq:
                Within((uint)channel.Virq, VirtualIrq.Count, "virtual interrupt");
                ref EventChannel? slot = ref virqs[VirtualIrq.IsGlobal(channel.Virq) ? 0 : channel.Vcpu.Id, channel.Virq];
                StateReader.Demand(slot is null, $"virtual interrupt {channel.Virq} is bound twice");
                slot = channel;
                break;
            default:
                throw StateReader.Senseless($"port {port} is of no kind that there is");
        }
    }
}
