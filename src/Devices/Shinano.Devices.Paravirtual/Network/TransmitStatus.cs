namespace Shinano.Devices.Paravirtual.Network;

/// <summary>What was found on the transmit ring.</summary>
internal enum TransmitStatus
{
    /// <summary>No packet.</summary>
    Empty,

    /// <summary>A packet.</summary>
    Packet,

    /// <summary>Something that was answered and is no packet to send: a multicast request, or an error of one packet.</summary>
    Answered,

    /// <summary>Nothing sensible can follow: the ring is not read any more.</summary>
    Broken,
}
