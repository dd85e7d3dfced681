using System.Globalization;

namespace Shinano.Control.Configuration.Networks;

/// <summary>A port of the host's that leads to one of the guest's.</summary>
/// <param name="IsUdp">UDP, else TCP.</param>
/// <param name="Address">Address of the host; null for loopback only.</param>
/// <param name="HostPort">Port of the host, 1 to 65535.</param>
/// <param name="GuestPort">Port of the guest.</param>
public sealed record PortForward(bool IsUdp, string? Address, int HostPort, int GuestPort)
{
    private const string Loopback = "127.0.0.1";
    private const string Everywhere = "0.0.0.0";

    /// <summary>Whether both ask for the same port of the host.</summary>
    public bool IsInTheWayOf(PortForward other)
    {
        ArgumentNullException.ThrowIfNull(other);
        string mine = Address ?? Loopback;
        string others = other.Address ?? Loopback;
        return IsUdp == other.IsUdp && HostPort == other.HostPort && (mine == others || mine == Everywhere || others == Everywhere);
    }

    /// <summary>As in a configuration.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{(IsUdp ? "udp" : "tcp")}:{(Address is null ? "" : Address + ":")}{HostPort}:{GuestPort}");
}
