namespace Shinano.Control.Configuration.Networks;

/// <summary>A port of the host's that leads to one of the guest's.</summary>
/// <param name="IsUdp">UDP, else TCP.</param>
/// <param name="Address">Address of the host; null for loopback only.</param>
/// <param name="HostPort">Port of the host, 1 to 65535.</param>
/// <param name="GuestPort">Port of the guest.</param>
public sealed record PortForward(bool IsUdp, string? Address, int HostPort, int GuestPort);
