namespace Shinano.Network.Frames;

/// <summary>How a frame that is longer than a segment is to be cut. Source: public/io/netif.h: XEN_NETIF_GSO_TYPE_*.</summary>
public enum GsoKind : byte
{
    None = 0,

    /// <summary>TCP over IPv4.</summary>
    TcpV4 = 1,

    /// <summary>TCP over IPv6.</summary>
    TcpV6 = 2,
}
