using System.Net.Sockets;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Linux;
using Shinano.Network;
using Shinano.Network.Control;
using StreamJsonRpc;

namespace Shinano.Control.Daemon.Networks;

/// <summary>xend's connection to the switch: found again or started when it is needed first, and again after it was lost.</summary>
internal sealed class SwitchConnection(ShinanoPaths paths, ILogger<SwitchConnection> logger) : ISwitchEvents, IDisposable
{
    /// <summary>The runtime's start on a loaded machine, nothing more.</summary>
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(60);

    private readonly SemaphoreSlim _connecting = new(1, 1);
    private JsonRpc? _connection;
    private ISwitchControl? _switch;
    private bool _disposed;

    /// <summary>The switch has ended: what was made there is to be made again.</summary>
    public event Action? Lost;

    /// <summary>A vnic's user-mode NAT has ended.</summary>
    public event Action<string>? NatEnded;

    /// <summary>Where the switch is.</summary>
    public SwitchPaths Paths { get; } = new(Path.Combine(paths.RunDirectory, "network"));

    /// <summary>Whether there is a connection now.</summary>
    public bool IsConnected => Volatile.Read(ref _switch) is not null;

    /// <summary>Calls the switch.</summary>
    /// <exception cref="DomainFailureException">It refused, or cannot be had.</exception>
    public async Task<T> CallAsync<T>(Func<ISwitchControl, CancellationToken, Task<T>> call, CancellationToken cancellationToken)
    {
        try
        {
            ISwitchControl control = await EnsureAsync(cancellationToken);
            return await call(control, cancellationToken);
        }
        catch (RemoteInvocationException e)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, e.Message, e);
        }
        catch (Exception e) when (e is ConnectionLostException or ObjectDisposedException or IOException or SocketException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"the switch has ended: {e.Message}", e);
        }
    }

    /// <summary>The same for calls that answer nothing.</summary>
    public Task CallAsync(Func<ISwitchControl, CancellationToken, Task> call, CancellationToken cancellationToken) => CallAsync(
        async (control, token) =>
        {
            await call(control, token);
            return true;
        },
        cancellationToken);

    void ISwitchEvents.NatLost(string name) => NatEnded?.Invoke(name);

    public void Dispose()
    {
        _disposed = true;
        _connection?.Dispose();
    }

    private async Task<ISwitchControl> EnsureAsync(CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref _switch) is { } present)
        {
            return present;
        }

        await _connecting.WaitAsync(cancellationToken);
        try
        {
            if (Volatile.Read(ref _switch) is { } meanwhile)
            {
                return meanwhile;
            }

            Socket socket = await TryConnectAsync(cancellationToken) ?? await StartAsync(cancellationToken);
            (JsonRpc connection, ISwitchControl control) = SwitchChannel.Connect(new NetworkStream(socket, ownsSocket: true), this);
            int version = await control.HelloAsync(cancellationToken);
            if (version != SwitchChannel.ProtocolVersion)
            {
                connection.Dispose();
                throw new DomainFailureException(
                    DomainFailureCode.Internal, $"the switch speaks version {version}, xend {SwitchChannel.ProtocolVersion}: end its domains, and xend starts a new one");
            }

            _connection = connection;
            Volatile.Write(ref _switch, control);
            _ = WatchAsync(connection);
            return control;
        }
        finally
        {
            _connecting.Release();
        }
    }

    private async Task WatchAsync(JsonRpc connection)
    {
        await connection.Completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Volatile.Write(ref _switch, null);
        connection.Dispose();
        if (!_disposed)
        {
            logger.LogWarning("the connection to the switch has ended");
            Lost?.Invoke();
        }
    }

    private async Task<Socket?> TryConnectAsync(CancellationToken cancellationToken)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(Paths.Control), cancellationToken);
            return socket;
        }
        catch (SocketException)
        {
            socket.Dispose();
            return null;
        }
    }

    private async Task<Socket> StartAsync(CancellationToken cancellationToken)
    {
        ShinanoPaths.PrepareSocketPath(Paths.Control);
        string log = Path.Combine(paths.LogDirectory, "switch.log");
        System.Diagnostics.Process process;
        try
        {
            process = DetachedProcess.StartManaged(ProgramLocator.Switch, ["--directory", Paths.Directory], log);
        }
        catch (FileNotFoundException e)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, e.Message, e);
        }

        using (process)
        {
            long deadline = Environment.TickCount64 + (long)StartPatience.TotalMilliseconds;
            while (true)
            {
                bool hasEnded = process.HasExited;
                if (await TryConnectAsync(cancellationToken) is { } socket)
                {
                    logger.LogInformation("the switch is process {Process}", process.Id);
                    return socket;
                }

                if (hasEnded || Environment.TickCount64 > deadline)
                {
                    throw new DomainFailureException(DomainFailureCode.HostResource, $"the switch does not serve (see {log})");
                }

                await Task.Delay(20, cancellationToken);
            }
        }
    }
}
