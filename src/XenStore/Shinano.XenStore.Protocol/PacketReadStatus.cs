namespace Shinano.XenStore.Protocol;

/// <summary>What <see cref="PacketReader.Read"/> found.</summary>
public enum PacketReadStatus
{
    /// <summary>All input is taken; the message is not complete yet.</summary>
    NeedMore,

    /// <summary>A whole message was produced; there may be input left.</summary>
    Packet,

    /// <summary>The peer announced more than XENSTORE_PAYLOAD_MAX. The stream is out of step: disconnect (docs/misc/xenstore.txt).</summary>
    Malformed,
}
