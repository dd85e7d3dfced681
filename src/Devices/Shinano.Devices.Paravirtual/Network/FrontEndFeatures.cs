namespace Shinano.Devices.Paravirtual.Network;

/// <summary>What a front end takes. Source: public/io/netif.h: features of the front end.</summary>
/// <param name="ScatterGather">feature-sg: packets of several pages.</param>
/// <param name="GsoV4">feature-gso-tcpv4.</param>
/// <param name="GsoV6">feature-gso-tcpv6.</param>
/// <param name="ChecksumV4">Not feature-no-csum-offload.</param>
/// <param name="ChecksumV6">feature-ipv6-csum-offload.</param>
/// <param name="NotifiesReceive">feature-rx-notify: it tells when it has posted buffers.</param>
internal sealed record FrontEndFeatures(bool ScatterGather, bool GsoV4, bool GsoV6, bool ChecksumV4, bool ChecksumV6, bool NotifiesReceive);
