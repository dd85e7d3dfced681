using System.Net.Sockets;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Console;

/// <summary>
/// A console beside the one that a domain is built with: <c>device/console/N</c>, whose ring comes with a front end's grant. What it showed and who looks at it outlive
/// front ends.
/// </summary>
/// <remarks>Source: docs/misc/console.txt; the nodes "ring-ref" and "port" are those that Linux's hvc_xen writes.</remarks>
public sealed class ConsoleDevice : IBackEndDevice
{
    private readonly ConsoleBackEnd _console;
    private readonly ConsoleServer _server;
    private readonly ConsoleBacklog _backlog;
    private IGrantedPage? _page;
    private IFrontEndPort? _port;

    /// <summary>Listens for viewers.</summary>
    /// <param name="id">The device's number, e.g. "1".</param>
    /// <param name="socketPath">The socket for viewers, mode 0600.</param>
    /// <param name="backlogBytes">Latest output that is kept.</param>
    /// <param name="sendsBacklog">Viewers are sent what was there before them.</param>
    /// <exception cref="BackEndException">The socket cannot be had.</exception>
    public ConsoleDevice(string id, string socketPath, int backlogBytes, bool sendsBacklog)
    {
        Id = id;
        _backlog = new ConsoleBacklog(backlogBytes);
        _console = new ConsoleBackEnd(_backlog, log: null);
        try
        {
            _server = new ConsoleServer(socketPath, _backlog, _console.WriteInputAsync, sendsBacklog);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException or ArgumentException)
        {
            _ = _console.DisposeAsync().AsTask();
            throw new BackEndException($"{socketPath}: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public string Kind => "console";

    /// <inheritdoc/>
    public string Id { get; }

    /// <summary>Nothing is to be said: what a console can do is the same everywhere.</summary>
    public Task PrepareAsync(BackEndNodes nodes, CancellationToken cancellation) => Task.CompletedTask;

    /// <inheritdoc/>
    public async Task ConnectAsync(BackEndNodes nodes, IFrontEndDomain guest, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        ArgumentNullException.ThrowIfNull(guest);
        uint ring = await nodes.RequireNumberAsync("ring-ref", cancellation).ConfigureAwait(false);
        uint port = await nodes.RequireNumberAsync("port", cancellation).ConfigureAwait(false);
        try
        {
            _page = guest.TryMap(new GrantRef(ring), writable: true) ?? throw new BackEndException($"ring-ref {ring} is not granted");
            if (_page.Bytes.Length != GuestMemory.PageSize)
            {
                throw new BackEndException("a part of a page is granted for the ring; it needs a whole one");
            }

            _port = guest.TryBind(new EventPort(port), _console.GuestNotified) ?? throw new BackEndException($"port {port} does not wait for domain 0");
        }
        catch (BackEndException)
        {
            await DisconnectAsync().ConfigureAwait(false);
            throw;
        }

        _console.Connect(_page, _port.Notify);
    }

    /// <inheritdoc/>
    public Task DisconnectAsync()
    {
        _console.Disconnect();
        _port?.Dispose();
        _port = null;
        _page?.Dispose();
        _page = null;
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public IReadOnlyList<DeviceCounter> ReadCounters() => [new("bytes_out", _console.BytesOut), new("bytes_in", _console.BytesIn)];

    /// <summary>Gives viewers the rest and the end.</summary>
    public async ValueTask DisposeAsync()
    {
        await DisconnectAsync().ConfigureAwait(false);
        await _console.DisposeAsync().ConfigureAwait(false);
        await _server.DisposeAsync().ConfigureAwait(false);
    }
}
