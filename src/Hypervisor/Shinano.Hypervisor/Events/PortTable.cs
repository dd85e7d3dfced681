using System.Diagnostics.CodeAnalysis;

namespace Shinano.Hypervisor.Events;

/// <summary>A domain's ports by number; they become valid a bucket at a time, as the guest uses them. Guarded by the lock of <see cref="EventChannels"/>.</summary>
internal sealed class PortTable(Domain domain, uint maximumPort)
{
    /// <summary>Ports that become valid at a time (Xen's EVTCHNS_PER_BUCKET).</summary>
    private const int Bucket = 64;

    private readonly List<EventChannel> _channels = [];

    /// <summary>All valid ports, the free ones too, except port 0.</summary>
    public IEnumerable<EventChannel> All => _channels.Skip(1);

    /// <summary>The channel of a valid port. Port 0 is valid, but never bound.</summary>
    public bool TryGet(uint port, [NotNullWhen(true)] out EventChannel? channel)
    {
        if (_channels.Count == 0)
        {
            Grow();
        }

        channel = port < (uint)_channels.Count ? _channels[(int)port] : null;
        return channel is not null;
    }

    /// <summary>Finds a free port of the lowest number; it stays free until the caller changes its status.</summary>
    /// <param name="limit">Ports that the ABI in use can express.</param>
    /// <param name="isBusy">Tells whether the guest's queues still hold a free port.</param>
    public bool TryFindFree(uint limit, Func<uint, bool> isBusy, [NotNullWhen(true)] out EventChannel? channel)
    {
        uint last = Math.Min(maximumPort, limit - 1);
        for (uint port = 1; port <= last; port++)
        {
            if (port >= (uint)_channels.Count)
            {
                Grow();
            }

            channel = _channels[(int)port];
            if (!channel.IsUsable && !isBusy(port))
            {
                return true;
            }
        }

        channel = null;
        return false;
    }

    /// <summary>Number of valid ports, port 0 among them.</summary>
    public int Count => _channels.Count;

    /// <summary>Makes at least so many ports valid.</summary>
    public void GrowTo(uint count)
    {
        while (_channels.Count < count)
        {
            Grow();
        }
    }

    private void Grow()
    {
        for (int i = 0; i < Bucket; i++)
        {
            _channels.Add(new EventChannel((uint)_channels.Count) { Vcpu = domain.Vcpus[0] });
        }
    }
}
