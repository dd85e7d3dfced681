using Shinano.XenStore.Client;

namespace Shinano.Devices.Paravirtual.XenStore;

/// <summary>What the pump needs of a <see cref="Shinano.XenStore.Client.RingRelayConnection"/>, which see.</summary>
internal interface IXenStoreRelay : IAsyncDisposable
{
    /// <summary>The guest announced a message longer than allowed.</summary>
    bool GuestBrokeProtocol { get; }

    /// <summary>Takes bytes of the guest; how many.</summary>
    int Submit(ReadOnlySpan<byte> bytes);

    /// <summary>Waits until every request has its answer and every answer was delivered.</summary>
    Task<RingRelayState> QuiesceAsync(CancellationToken cancellation);

    /// <summary>Forgets all requests, watches and transactions.</summary>
    Task ResetAsync();
}
