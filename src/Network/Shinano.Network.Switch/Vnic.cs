using System.Net.Sockets;
using Shinano.Network.Control;
using Shinano.Network.Switching;

namespace Shinano.Network.Switch;

/// <summary>A vnic and all that belongs to it.</summary>
internal sealed class Vnic(VnicSpec spec, Bridge bridge, VnicPort port, NatUplink? nat) : IAsyncDisposable
{
    private readonly CancellationTokenSource _end = new();
    private VnicCapture? _capture;

    public VnicSpec Spec => spec;

    public Bridge Bridge => bridge;

    public VnicPort Port => port;

    /// <summary>Whether its NAT must be connected, again or for the first time.</summary>
    public bool NeedsNat => nat is { IsConnected: false };

    public VnicStatus Describe() => new()
    {
        Name = spec.Name,
        Mac = spec.Mac,
        Bridge = spec.Bridge,
        Vlan = spec.Vlan,
        Trunk = spec.Trunk,
        Addresses = spec.Addresses,
        BytesPerSecond = port.BytesPerSecond,
        IsConnected = port.IsConnected,
        Uplink = nat is not null ? "user" : spec.Tap is not null ? "tap" : "none",
        IsUplinkConnected = nat?.IsConnected ?? true,
        Capture = Volatile.Read(ref _capture)?.Path,
        Counters = port.Counters.Read(),
    };

    /// <summary>Serves a domain process until it, or the vnic, ends.</summary>
    public Task ServeAsync(Socket socket) => port.ServeAsync(socket, _end.Token);

    /// <summary>Connects to passt and serves it in the background.</summary>
    /// <param name="path">Its socket.</param>
    /// <param name="lost">Called when it has ended by itself.</param>
    /// <param name="cancellation">Ends the attempt.</param>
    /// <exception cref="SocketException">It does not listen.</exception>
    public async Task ConnectNatAsync(string path, Action lost, CancellationToken cancellation)
    {
        Socket socket = await NatUplink.ConnectAsync(path, cancellation).ConfigureAwait(false);
        nat!.Open();
        _ = ServeNatAsync(socket, lost);
    }

    /// <summary>Begins a capture; false when there is one.</summary>
    /// <exception cref="IOException">The file cannot be made.</exception>
    public async Task<bool> TryStartCaptureAsync(string path, TimeProvider clock)
    {
        if (Volatile.Read(ref _capture) is not null)
        {
            return false;
        }

        VnicCapture capture = new(path, clock);
        if (Interlocked.CompareExchange(ref _capture, capture, null) is not null)
        {
            await capture.DisposeAsync().ConfigureAwait(false);
            return false;
        }

        port.Capture = capture;
        return true;
    }

    /// <summary>Ends the capture; null when there is none.</summary>
    public async Task<CaptureSummary?> StopCaptureAsync()
    {
        port.Capture = null;
        if (Interlocked.Exchange(ref _capture, null) is not { } capture)
        {
            return null;
        }

        await capture.DisposeAsync().ConfigureAwait(false);
        return capture.Summary;
    }

    /// <summary>Ends its connections. The port is off the bridge.</summary>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await StopCaptureAsync().ConfigureAwait(false);
    }

    private async Task ServeNatAsync(Socket socket, Action lost)
    {
        await nat!.ServeAsync(socket, port, _end.Token).ConfigureAwait(false);
        if (!_end.IsCancellationRequested)
        {
            lost();
        }
    }
}
