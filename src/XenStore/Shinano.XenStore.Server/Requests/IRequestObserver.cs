using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Sessions;

namespace Shinano.XenStore.Server.Requests;

/// <summary>Who sees what happens: xenstore-snoop. Called with the engine's lock held: must not block.</summary>
internal interface IRequestObserver
{
    /// <summary>False when nobody looks, so that nothing is formatted.</summary>
    bool IsActive { get; }

    /// <summary>A request and its reply.</summary>
    void Observe(
        StoreSession session, uint transactionId, XenStoreOperation operation, ReadOnlySpan<byte> request, XenStorePacket reply);
}
