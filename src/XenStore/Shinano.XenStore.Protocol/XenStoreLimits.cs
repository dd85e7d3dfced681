namespace Shinano.XenStore.Protocol;

/// <summary>Sizes of the wire protocol, in bytes. Source: public/io/xs_wire.h.</summary>
public static class XenStoreLimits
{
    /// <summary>sizeof(struct xsd_sockmsg).</summary>
    public const int HeaderSize = 16;

    /// <summary>XENSTORE_PAYLOAD_MAX. A peer that exceeds it is disconnected.</summary>
    public const int MaximumPayload = 4096;

    /// <summary>The largest message on the wire.</summary>
    public const int MaximumMessage = HeaderSize + MaximumPayload;

    /// <summary>XENSTORE_ABS_PATH_MAX.</summary>
    public const int MaximumAbsolutePath = 3072;

    /// <summary>XENSTORE_REL_PATH_MAX.</summary>
    public const int MaximumRelativePath = 2048;

    /// <summary>XENSTORE_RING_SIZE: one direction of the ring of a domain.</summary>
    public const int RingSize = 1024;
}
