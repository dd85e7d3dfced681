using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using StreamJsonRpc;

namespace Shinano.Control.Daemon.Domains;

/// <summary>xend's end of a control channel. Every call has a deadline and every failure a name.</summary>
internal sealed class DomainConnection : IDomainEvents, IDisposable
{
    private readonly JsonRpc _rpc;
    private readonly IDomainProcess _domain;
    private readonly Lock _lock = new();
    private Action<ShutdownReason>? _onShutDown;
    private ShutdownReason? _early;

    private DomainConnection(Socket socket)
    {
        (_rpc, _domain) = DomainControlChannel.Connect(new NetworkStream(socket, ownsSocket: true), this);
        Closed = WaitForEndAsync(_rpc);
    }

    /// <summary>Completes, without error, when the connection has ended for whatever reason.</summary>
    public Task Closed { get; }

    /// <summary>Set while a build is being watched.</summary>
    public Action<BuildProgress>? OnProgress { get; set; }

    /// <summary>Called with kind and number of each device that has ended; short, not throwing.</summary>
    public Action<string, string>? OnDeviceEnded { get; set; }

    /// <summary>Connects once. Throws <see cref="SocketException"/> when nobody listens.</summary>
    public static async Task<DomainConnection> OpenAsync(string path, CancellationToken cancellationToken)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
            return new DomainConnection(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Has <paramref name="handler"/> called once for the guest's shutdown, also when it came before this call.</summary>
    public void ObserveShutdown(Action<ShutdownReason> handler)
    {
        ShutdownReason? early;
        lock (_lock)
        {
            _onShutDown = handler;
            early = _early;
        }

        if (early is { } reason)
        {
            handler(reason);
        }
    }

    /// <summary>Calls the domain process. Throws <see cref="DomainFailureException"/> only (and cancellation by the caller).</summary>
    public async Task<T> CallAsync<T>(
        Func<IDomainProcess, CancellationToken, Task<T>> call, TimeSpan deadline, CancellationToken cancellationToken)
    {
        using CancellationTokenSource source = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        source.CancelAfter(deadline);
        try
        {
            // WaitAsync as well: a process that is stopped does not answer cancellation either.
            return await call(_domain, source.Token).WaitAsync(source.Token);
        }
        catch (RemoteInvocationException e)
        {
            DomainFailure failure = DomainFailureException.TryRead(e) ?? new DomainFailure(DomainFailureCode.Internal, e.Message);
            throw new DomainFailureException(failure, e);
        }
        catch (Exception e) when (e is ConnectionLostException or ObjectDisposedException or IOException)
        {
            throw new DomainFailureException(DomainFailureCode.DomainProcessLost, "the domain process has ended", e);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new DomainFailureException(
                DomainFailureCode.TimedOut, $"the domain process did not answer within {deadline.TotalSeconds:0.#} s", e);
        }
        catch (RemoteMethodNotFoundException e)
        {
            throw new DomainFailureException(DomainFailureCode.NotSupported, "the domain process is of an older version and cannot do this", e);
        }
        catch (RemoteRpcException e)
        {
            throw new DomainFailureException(DomainFailureCode.Internal, e.Message, e);
        }
    }

    public Task CallAsync(Func<IDomainProcess, CancellationToken, Task> call, TimeSpan deadline, CancellationToken cancellationToken) =>
        CallAsync<bool>(
            async (domain, token) =>
            {
                await call(domain, token);
                return true;
            },
            deadline,
            cancellationToken);

    void IDomainEvents.Progress(BuildProgress progress) => OnProgress?.Invoke(progress);

    void IDomainEvents.Started()
    {
    }

    void IDomainEvents.DeviceEnded(string kind, string id) => OnDeviceEnded?.Invoke(kind, id);

    void IDomainEvents.ShutDown(ShutdownReason reason)
    {
        Action<ShutdownReason>? handler;
        lock (_lock)
        {
            _early = reason;
            handler = _onShutDown;
        }

        handler?.Invoke(reason);
    }

    public void Dispose() => _rpc.Dispose();

    private static async Task WaitForEndAsync(JsonRpc rpc)
    {
        try
        {
            await rpc.Completion;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // How it ended does not matter: what became of the process does.
        }
    }
}
