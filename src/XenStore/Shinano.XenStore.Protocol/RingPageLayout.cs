namespace Shinano.XenStore.Protocol;

/// <summary>
/// The page a domain shares with xenstore. Offsets in bytes. Source: public/io/xs_wire.h: struct xenstore_domain_interface,
/// docs/misc/xenstore-ring.txt.
/// </summary>
public static class RingPageLayout
{
    /// <summary>Requests to the server: <see cref="XenStoreLimits.RingSize"/> bytes.</summary>
    public const int Requests = 0;

    /// <summary>Replies and watch events to the domain: <see cref="XenStoreLimits.RingSize"/> bytes.</summary>
    public const int Responses = 1024;

    public const int RequestConsumer = 2048;
    public const int RequestProducer = 2052;
    public const int ResponseConsumer = 2056;
    public const int ResponseProducer = 2060;

    /// <summary>Bit 0: ring reconnection; bit 1: the error field is valid.</summary>
    public const int ServerFeatures = 2064;

    /// <summary>0: connected. 1: the guest asks for a reset of the ring; the server sets it back to 0.</summary>
    public const int Connection = 2068;

    /// <summary>0: none, 1: communication, 2: ring indices, 3: protocol violation.</summary>
    public const int Error = 2072;

    public const uint FeatureReconnection = 1;
    public const uint FeatureError = 2;
}
