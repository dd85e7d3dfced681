using Shinano.Network.Frames;

namespace Shinano.Devices.Paravirtual.Network;

/// <summary>Multicast addresses that the guest listens to, when it has asked for them to be kept apart (feature-multicast-control). Thread-safe.</summary>
internal sealed class MulticastFilter
{
    /// <summary>Linux's back end: XEN_NETBK_MCAST_MAX.</summary>
    public const int Capacity = 64;

    private readonly Lock _lock = new();
    private readonly HashSet<MacAddress> _addresses = [];
    private volatile bool _isOn;

    /// <summary>Only listed addresses pass.</summary>
    public bool IsOn
    {
        get => _isOn;
        set => _isOn = value;
    }

    public bool TryAdd(MacAddress address)
    {
        lock (_lock)
        {
            return address.IsGroup && (_addresses.Contains(address) || (_addresses.Count < Capacity && _addresses.Add(address)));
        }
    }

    /// <summary>Always succeeds: an address that is not listed is not listed afterwards.</summary>
    public bool Remove(MacAddress address)
    {
        lock (_lock)
        {
            _addresses.Remove(address);
            return true;
        }
    }

    /// <summary>Whether a frame to an address is for the guest.</summary>
    public bool Passes(MacAddress destination)
    {
        if (!_isOn || !destination.IsGroup || destination == MacAddress.Broadcast)
        {
            return true;
        }

        lock (_lock)
        {
            return _addresses.Contains(destination);
        }
    }

    public void Clear()
    {
        lock (_lock)
        {
            _addresses.Clear();
        }
    }
}
