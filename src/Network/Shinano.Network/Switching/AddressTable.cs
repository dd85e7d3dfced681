using Shinano.Network.Frames;

namespace Shinano.Network.Switching;

/// <summary>
/// Which port an address was seen at, by VLAN. Bounded in all and per port, so that no guest can push another's entry out; entries age. Addresses that belong
/// to a port are never learned at another. Thread-safe.
/// </summary>
/// <param name="clock">Time.</param>
public sealed class AddressTable(TimeProvider clock)
{
    /// <summary>Entries in all.</summary>
    public const int Capacity = 4096;

    /// <summary>Entries of one port.</summary>
    public const int CapacityOfPort = 512;

    /// <summary>IEEE 802.1D table 7-5.</summary>
    public static readonly TimeSpan MaximumAge = TimeSpan.FromSeconds(300);

    private readonly Lock _lock = new();
    private readonly Dictionary<(ushort Vlan, MacAddress Address), Entry> _entries = [];
    private readonly Dictionary<MacAddress, BridgePort> _owned = [];
    private readonly Dictionary<BridgePort, int> _counts = [];

    /// <summary>Entries that were learned.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _entries.Count;
            }
        }
    }

    /// <summary>Gives an address to a port; false when another has it.</summary>
    public bool TryOwn(MacAddress address, BridgePort port)
    {
        lock (_lock)
        {
            if (!_owned.TryAdd(address, port))
            {
                return _owned[address] == port;
            }

            foreach ((ushort Vlan, MacAddress Address) key in _entries.Keys.Where(key => key.Address == address).ToArray())
            {
                RemoveEntry(key);
            }

            return true;
        }
    }

    /// <summary>Notes where an address was seen.</summary>
    public void Learn(ushort vlan, MacAddress address, BridgePort port)
    {
        if (address.IsGroup)
        {
            return;
        }

        lock (_lock)
        {
            if (_owned.ContainsKey(address))
            {
                return;
            }

            long now = clock.GetTimestamp();
            if (_entries.TryGetValue((vlan, address), out Entry entry) && entry.Port == port)
            {
                _entries[(vlan, address)] = new Entry(port, now);
                return;
            }

            if (_counts.GetValueOrDefault(port) >= CapacityOfPort || _entries.Count >= Capacity)
            {
                RemoveOld(now);
                if (_counts.GetValueOrDefault(port) >= CapacityOfPort || _entries.Count >= Capacity)
                {
                    return;
                }
            }

            RemoveEntry((vlan, address));
            _entries[(vlan, address)] = new Entry(port, now);
            _counts[port] = _counts.GetValueOrDefault(port) + 1;
        }
    }

    /// <summary>The port of an address; null when it is not known, or was not seen for long.</summary>
    public BridgePort? Find(ushort vlan, MacAddress address)
    {
        lock (_lock)
        {
            if (_owned.TryGetValue(address, out BridgePort? owner))
            {
                return owner.Vlan.Carries(vlan) ? owner : null;
            }

            return _entries.TryGetValue((vlan, address), out Entry entry) && clock.GetElapsedTime(entry.Seen) < MaximumAge ? entry.Port : null;
        }
    }

    /// <summary>Forgets all of a port.</summary>
    public void Forget(BridgePort port)
    {
        lock (_lock)
        {
            foreach ((ushort, MacAddress) key in _entries.Where(entry => entry.Value.Port == port).Select(entry => entry.Key).ToArray())
            {
                RemoveEntry(key);
            }

            foreach (MacAddress address in _owned.Where(entry => entry.Value == port).Select(entry => entry.Key).ToArray())
            {
                _owned.Remove(address);
            }

            _counts.Remove(port);
        }
    }

    private void RemoveOld(long now)
    {
        foreach ((ushort, MacAddress) key in _entries.Where(entry => clock.GetElapsedTime(entry.Value.Seen, now) >= MaximumAge).Select(entry => entry.Key).ToArray())
        {
            RemoveEntry(key);
        }
    }

    private void RemoveEntry((ushort, MacAddress) key)
    {
        if (_entries.Remove(key, out Entry entry))
        {
            _counts[entry.Port]--;
        }
    }

    private readonly record struct Entry(BridgePort Port, long Seen);
}
