using Shinano.XenStore.Client;

namespace Shinano.Devices.Paravirtual.XenStore;

/// <summary>What there is of a guest's xenstore ring beside its page, while it keeps still.</summary>
/// <param name="Relay">Of the relay.</param>
/// <param name="Undelivered">Bytes of messages to the guest that the ring had no room for; the first of them may be the rest of a message.</param>
public sealed record XenStoreRingState(RingRelayState Relay, ReadOnlyMemory<byte> Undelivered);
