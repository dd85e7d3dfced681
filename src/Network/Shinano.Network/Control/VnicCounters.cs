namespace Shinano.Network.Control;

/// <summary>What has passed a vnic, seen from its guest.</summary>
/// <param name="SentFrames">Frames that the guest sent and the switch took.</param>
/// <param name="SentBytes">Bytes of these.</param>
/// <param name="ReceivedFrames">Frames that were queued for the guest.</param>
/// <param name="ReceivedBytes">Bytes of these.</param>
/// <param name="Refused">Frames of the guest that were refused: another's address, a VLAN that is not the vnic's.</param>
/// <param name="Dropped">Frames that found no room.</param>
public readonly record struct VnicCounters(long SentFrames, long SentBytes, long ReceivedFrames, long ReceivedBytes, long Refused, long Dropped);
