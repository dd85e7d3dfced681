using Shinano.XenAbi;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Devices.Paravirtual.XenStore;

/// <summary>The relay over xend's socket.</summary>
internal sealed class SocketRelay(DomainId domain, RelayToken token, string socketPath, IRingRelayGuest guest, RingRelayState? state) : IXenStoreRelay
{
    private readonly RingRelayConnection _connection = new(domain, token, socketPath, guest, state);

    public bool GuestBrokeProtocol => _connection.GuestBrokeProtocol;

    public int Submit(ReadOnlySpan<byte> bytes) => _connection.Submit(bytes);

    public Task<RingRelayState> QuiesceAsync(CancellationToken cancellation) => _connection.QuiesceAsync(cancellation);

    public Task ResetAsync() => _connection.ResetAsync();

    public ValueTask DisposeAsync() => _connection.DisposeAsync();
}
