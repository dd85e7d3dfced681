using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Client;

/// <summary>The guest's side of a <see cref="RingRelayConnection"/>: who owns the ring page.</summary>
public interface IRingRelayGuest
{
    /// <summary>
    /// Puts a whole message (answer or watch event) onto the ring. May wait for room on it; nothing more is read from the server until
    /// it completes. Called by one task at a time.
    /// </summary>
    ValueTask DeliverAsync(XenStorePacket message, CancellationToken cancellation);

    /// <summary>
    /// There is room for requests again after <see cref="RingRelayConnection.Submit"/> took less than it was given: look at the ring.
    /// Must not block.
    /// </summary>
    void RoomForRequests();
}
