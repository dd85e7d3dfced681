using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Machine.Control;
using StreamJsonRpc;

namespace Shinano.Machine.Warm;

/// <summary>A domain that nobody sees, with both ends of its control channel in this process.</summary>
internal sealed class WarmUpDomain : IDomainEvents, IAsyncDisposable
{
    private readonly DomainSpec _spec;
    private readonly ControlServer _server;
    private readonly TaskCompletionSource _shutDown = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private JsonRpc? _connection;
    private IDomainProcess? _process;

    public WarmUpDomain(DomainSpec spec)
    {
        _spec = spec;
        _server = new ControlServer(spec.ControlSocketPath, events => new DomainControl(spec, null, events));
    }

    /// <summary>The domain, over its channel; after <see cref="BuildAsync"/>.</summary>
    public IDomainProcess Process => _process!;

    /// <summary>Completes when the guest has shut down.</summary>
    public Task HasShutDown => _shutDown.Task;

    /// <summary>Connects and builds.</summary>
    public async Task<DomainBuildResult> BuildAsync()
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(_spec.ControlSocketPath)).ConfigureAwait(false);
        (_connection, _process) = DomainControlChannel.Connect(new NetworkStream(socket, ownsSocket: true), this);
        _ = await _process.HelloAsync(CancellationToken.None).ConfigureAwait(false);
        return await _process.BuildAsync(CancellationToken.None).ConfigureAwait(false);
    }

    void IDomainEvents.Progress(BuildProgress progress)
    {
    }

    void IDomainEvents.Started()
    {
    }

    void IDomainEvents.DeviceEnded(string kind, string id)
    {
    }

    void IDomainEvents.ShutDown(ShutdownReason reason) => _shutDown.TrySetResult();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_process is { } process)
        {
            await process.DestroyAsync(CancellationToken.None).ConfigureAwait(false);
        }

        _connection?.Dispose();
        _server.Dispose();
    }
}
