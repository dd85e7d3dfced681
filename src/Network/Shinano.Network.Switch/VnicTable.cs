using System.Net;
using System.Net.Sockets;
using Shinano.Network.Control;
using Shinano.Network.Frames;
using Shinano.Network.Switching;

namespace Shinano.Network.Switch;

/// <summary>All vnics and bridges, and what xend asks of them. Changes come one at a time; lookups at any time.</summary>
internal sealed class VnicTable(TimeProvider clock) : ISwitchControl, IAsyncDisposable
{
    private readonly SemaphoreSlim _changing = new(1, 1);
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Vnic> _vnics = [];
    private readonly Dictionary<string, Bridge> _bridges = [];
    private readonly Dictionary<string, TapPort> _taps = [];

    /// <summary>A vnic's NAT has ended by itself.</summary>
    public event Action<string>? NatLost;

    /// <summary>There are no vnics, or there are again.</summary>
    public event Action? CountChanged;

    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _vnics.Count;
            }
        }
    }

    /// <summary>The vnic of a token; null when there is none.</summary>
    public Vnic? FindByToken(string token)
    {
        lock (_lock)
        {
            return _vnics.Values.FirstOrDefault(vnic => vnic.Spec.Token == token);
        }
    }

    public Task<int> HelloAsync(CancellationToken cancellation) => Task.FromResult(SwitchChannel.ProtocolVersion);

    public async Task AddVnicAsync(VnicSpec spec, CancellationToken cancellation)
    {
        await _changing.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            Vnic? vnic = Find(spec.Name);
            if (vnic is not null && vnic.Spec.Token != spec.Token)
            {
                await RemoveAsync(vnic).ConfigureAwait(false);
                vnic = null;
            }

            bool isNew = vnic is null;
            vnic ??= Add(spec);
            try
            {
                if (vnic.NeedsNat)
                {
                    await vnic.ConnectNatAsync(spec.Nat!.SocketPath, () => NatLost?.Invoke(spec.Name), cancellation).ConfigureAwait(false);
                }
            }
            catch (Exception e)
            {
                if (isNew)
                {
                    await RemoveAsync(vnic).ConfigureAwait(false);
                }

                throw e is SocketException ? new SwitchException($"vnic {spec.Name}: {spec.Nat!.SocketPath}: {e.Message}", e) : e;
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    public async Task RemoveVnicAsync(string name, CancellationToken cancellation)
    {
        await _changing.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (Find(name) is { } vnic)
            {
                await RemoveAsync(vnic).ConfigureAwait(false);
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    public Task<IReadOnlyList<VnicStatus>> ListAsync(CancellationToken cancellation)
    {
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<VnicStatus>>([.. _vnics.Values.Select(vnic => vnic.Describe()).OrderBy(vnic => vnic.Name, StringComparer.Ordinal)]);
        }
    }

    public Task LimitAsync(string name, long? bytesPerSecond, CancellationToken cancellation)
    {
        if (bytesPerSecond is < 1)
        {
            throw new SwitchException("a limit is at least a byte in a second");
        }

        Require(name).Port.BytesPerSecond = bytesPerSecond;
        return Task.CompletedTask;
    }

    public async Task StartCaptureAsync(string name, string path, CancellationToken cancellation)
    {
        try
        {
            if (!await Require(name).TryStartCaptureAsync(path, clock).ConfigureAwait(false))
            {
                throw new SwitchException($"vnic {name} is being captured already");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new SwitchException(e.Message, e);
        }
    }

    public async Task<CaptureSummary> StopCaptureAsync(string name, CancellationToken cancellation) =>
        await Require(name).StopCaptureAsync().ConfigureAwait(false) ?? throw new SwitchException($"vnic {name} is not being captured");

    public async ValueTask DisposeAsync()
    {
        Vnic[] all;
        lock (_lock)
        {
            all = [.. _vnics.Values];
        }

        foreach (Vnic vnic in all)
        {
            await RemoveAsync(vnic).ConfigureAwait(false);
        }
    }

    private static IPAddress ParseAddress(string text) =>
        IPAddress.TryParse(text, out IPAddress? address) ? address : throw new SwitchException($"'{text}' is no IP address");

    private static MacAddress ParseMac(string text) =>
        MacAddress.TryParse(text, out MacAddress mac) && !mac.IsGroup ? mac : throw new SwitchException($"'{text}' is no address of a vnic");

    private Vnic? Find(string name)
    {
        lock (_lock)
        {
            return _vnics.GetValueOrDefault(name);
        }
    }

    private Vnic Require(string name) => Find(name) ?? throw new SwitchException($"there is no vnic {name}");

    private Vnic Add(VnicSpec spec)
    {
        if (spec.Vlan > PortVlan.Highest || spec.Trunk.Any(vlan => vlan is 0 or > PortVlan.Highest))
        {
            throw new SwitchException($"vnic {spec.Name}: VLANs are 1 to {PortVlan.Highest}");
        }

        MacAddress mac = ParseMac(spec.Mac);
        IPAddress[] addresses = [.. spec.Addresses.Select(ParseAddress)];
        NatUplink? nat = spec.Nat is { } described ? new NatUplink(ParseMac(described.Mac), [.. described.Addresses.Select(ParseAddress)]) : null;
        PortVlan vlan = spec.Vlan == PortVlan.Default && spec.Trunk.Count == 0 ? PortVlan.Access : new PortVlan(spec.Vlan, spec.Trunk);
        lock (_lock)
        {
            if (!_bridges.TryGetValue(spec.Bridge, out Bridge? bridge))
            {
                bridge = new Bridge(spec.Bridge, clock);
            }

            VnicPort port = new(bridge, vlan, clock)
            {
                Guard = spec.IsPromiscuous ? null : new SourceGuard(mac, addresses),
                IsPromiscuous = spec.IsPromiscuous,
                Uplink = nat,
                BytesPerSecond = spec.BytesPerSecond,
            };
            if (!bridge.TryAttach(port, mac))
            {
                throw new SwitchException($"vnic {spec.Name}: {spec.Mac} is another vnic's on bridge {spec.Bridge}, or the bridge is full");
            }

            try
            {
                OpenTap(spec, bridge);
            }
            catch (IOException e)
            {
                bridge.Detach(port);
                throw new SwitchException($"vnic {spec.Name}: {e.Message}", e);
            }

            _bridges[spec.Bridge] = bridge;
            Vnic vnic = new(spec, bridge, port, nat);
            _vnics[spec.Name] = vnic;
            CountChanged?.Invoke();
            return vnic;
        }
    }

    private void OpenTap(VnicSpec spec, Bridge bridge)
    {
        if (spec.Tap is { } name && !_taps.ContainsKey(spec.Bridge))
        {
            TapPort tap = new(name, bridge);
            bridge.TryAttach(tap, null);
            _taps[spec.Bridge] = tap;
        }
    }

    private async Task RemoveAsync(Vnic vnic)
    {
        lock (_lock)
        {
            _vnics.Remove(vnic.Spec.Name);
            vnic.Bridge.Detach(vnic.Port);
            if (_vnics.Values.All(other => other.Bridge != vnic.Bridge))
            {
                _bridges.Remove(vnic.Bridge.Name);
                if (_taps.Remove(vnic.Bridge.Name, out TapPort? tap))
                {
                    vnic.Bridge.Detach(tap);
                    tap.Dispose();
                }
            }
        }

        await vnic.DisposeAsync().ConfigureAwait(false);
        CountChanged?.Invoke();
    }
}
