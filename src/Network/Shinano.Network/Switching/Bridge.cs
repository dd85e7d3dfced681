using Shinano.Network.Frames;

namespace Shinano.Network.Switching;

/// <summary>A learning bridge with VLANs. Ports forward at the same time, each in its own order. Pure but for its clock. Thread-safe.</summary>
/// <param name="name">As configurations call it.</param>
/// <param name="clock">Time.</param>
public sealed class Bridge(string name, TimeProvider clock)
{
    /// <summary>Ports at most: a broadcast costs one copy each.</summary>
    public const int MaximumPorts = 1024;

    private readonly Lock _lock = new();
    private readonly AddressTable _addresses = new(clock);
    private BridgePort[] _ports = [];

    /// <summary>As configurations call it.</summary>
    public string Name => name;

    /// <summary>Its ports now.</summary>
    public IReadOnlyList<BridgePort> Ports => Volatile.Read(ref _ports);

    /// <summary>Where addresses were seen.</summary>
    public AddressTable Addresses => _addresses;

    /// <summary>Connects a port; false when another has its address, or there are too many.</summary>
    /// <param name="port">Not connected to any bridge.</param>
    /// <param name="address">The address that is the port's alone; null for an uplink.</param>
    public bool TryAttach(BridgePort port, MacAddress? address)
    {
        lock (_lock)
        {
            if (_ports.Length >= MaximumPorts || (address is { } own && !_addresses.TryOwn(own, port)))
            {
                return false;
            }

            Volatile.Write(ref _ports, [.. _ports, port]);
            return true;
        }
    }

    /// <summary>Takes a port away; frames under way may still come out.</summary>
    public void Detach(BridgePort port)
    {
        lock (_lock)
        {
            Volatile.Write(ref _ports, [.. _ports.Where(other => other != port)]);
            _addresses.Forget(port);
        }
    }

    /// <summary>Takes a frame in at a port and sends it where it belongs. Never waits.</summary>
    public void Forward(BridgePort from, ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        ArgumentNullException.ThrowIfNull(from);
        from.Capture?.Take(frame);
        if (!EthernetHeader.TryRead(frame, out EthernetHeader header)
            || header.Source.IsGroup
            || from.Vlan.Classify(header) is not (not 0 and ushort vlan)
            || !offload.Fits(frame)
            || (from.Guard is { } guard && !guard.Allows(header, frame)))
        {
            from.Counters.CountRefused();
            return;
        }

        from.Counters.CountSent(frame.Length);
        if (from.Uplink is { } uplink && uplink.Takes(header, frame))
        {
            if (!uplink.TrySend(frame, offload))
            {
                from.Counters.CountDropped();
            }

            return;
        }

        if (from.Uplink is { } listener && PrivateUplink.Hears(header))
        {
            listener.TrySend(frame, offload);
        }

        _addresses.Learn(vlan, header.Source, from);
        if (!header.Destination.IsGroup && _addresses.Find(vlan, header.Destination) is { } known)
        {
            if (known != from)
            {
                known.Send(vlan, header, frame, offload);
            }

            return;
        }

        foreach (BridgePort port in Volatile.Read(ref _ports))
        {
            if (port != from && (header.Destination.IsGroup || port.IsPromiscuous) && port.Vlan.Carries(vlan))
            {
                port.Send(vlan, header, frame, offload);
            }
        }
    }
}
