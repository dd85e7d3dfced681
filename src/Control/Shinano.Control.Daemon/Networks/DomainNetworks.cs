using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Control.Configuration.Networks;
using Shinano.Control.Daemon.Devices;
using Shinano.Linux;
using Shinano.Network.Control;
using Shinano.Network.Link;

namespace Shinano.Control.Daemon.Networks;

/// <summary>The vnics of domains: made with a device, gone with it, and made again when what they are made of has ended.</summary>
internal sealed class DomainNetworks
{
    /// <summary>Switch of interfaces that name none.</summary>
    private const string DefaultBridge = "shinano0";

    private const string Kind = "vif";

    private static readonly TimeSpan RestorePause = TimeSpan.FromMilliseconds(200);

    private readonly SwitchConnection _switch;
    private readonly VnicRecords _records;
    private readonly PasstProgram _passt;
    private readonly ILogger<DomainNetworks> _logger;
    private readonly SemaphoreSlim _changing = new(1, 1);
    private Func<IReadOnlyCollection<int>> _domains = () => [];

    public DomainNetworks(SwitchConnection connection, VnicRecords records, PasstProgram passt, ILogger<DomainNetworks> logger)
    {
        _switch = connection;
        _records = records;
        _passt = passt;
        _logger = logger;
        connection.Lost += () => RestoreInBackground("the switch has ended");
        connection.NatEnded += name => RestoreInBackground($"passt of {name} has ended");
    }

    public static string NameOf(int domain, string device) =>
        device == "0" ? string.Create(CultureInfo.InvariantCulture, $"vnic{domain}") : string.Create(CultureInfo.InvariantCulture, $"vnic{domain}.{device}");

    /// <summary>What is done for an interface. Nodes and their order: libxl_nic.c of Xen 4.17: libxl__set_xenstore_nic.</summary>
    public DevicePlan Plan(VifConfiguration vif)
    {
        string bridge = vif.Bridge ?? DefaultBridge;
        string id = vif.Number.ToString(CultureInfo.InvariantCulture);
        List<(string, string)> back = [];
        if (vif.Script is { } script)
        {
            back.Add(("script", script));
        }

        back.Add(("mac", vif.Mac!));
        if (vif.Addresses.Count > 0)
        {
            back.Add(("ip", string.Join(' ', vif.Addresses)));
        }

        if (vif.BytesPerSecond is { } rate)
        {
            // Bytes in an interval, and the interval in microseconds.
            back.Add(("rate", string.Create(CultureInfo.InvariantCulture, $"{Math.Max(rate / 20, 1)},50000")));
        }

        back.AddRange([("bridge", bridge), ("handle", id), ("type", Kind), ("hotplug-status", "")]);
        return new DevicePlan(
            new NetworkDeviceSpec { Id = id, LinkPath = "", Token = "" }, [("handle", id), ("mac", vif.Mac!), ("mtu", "1500")], back, "vif-event", [])
        {
            FollowingEvent = vif.Script is null or "vif-bridge" ? "vif-vnic" : vif.Script,
            PrepareAsync = async (entry, isRestored, token) =>
            {
                DevicePlan planned = Plan(vif);
                VnicRecord record = await MakeAsync(entry.Id, vif, bridge, token);
                return planned with
                {
                    Spec = new NetworkDeviceSpec
                    {
                        Id = id,
                        LinkPath = _switch.Paths.Links,
                        Token = record.Spec.Token,
                        AnnouncedMac = isRestored ? vif.Mac : null,
                    },
                    HotplugNodes = [("nic", record.Spec.Name)],
                };
            },
        };
    }

    /// <summary>
    /// What is done for the interface of a copied domain, which goes on with the address of the domain it is a copy of: it is there for the guest to let go of, and its cable
    /// leads nowhere, so that no switch ever sees the address twice.
    /// </summary>
    public DevicePlan PlanUnplugged(VifConfiguration vif) => Plan(vif) with
    {
        Spec = new NetworkDeviceSpec { Id = vif.Number.ToString(CultureInfo.InvariantCulture), LinkPath = "", Token = LinkHello.CreateToken() },
        FollowingEvent = null,
        PrepareAsync = null,
    };

    /// <summary>Removes a device's vnic; nothing happens for devices of another kind. Does not throw.</summary>
    public Task ReleaseAsync(int domain, string kind, string device) =>
        kind == Kind ? ReleaseAsync(record => record.Domain == domain && record.Device == device) : Task.CompletedTask;

    /// <summary>Removes all vnics of a domain. Does not throw.</summary>
    public Task ReleaseAllAsync(int domain) => ReleaseAsync(record => record.Domain == domain);

    /// <summary>Makes a change of a vnic last.</summary>
    public async Task LimitAsync(string name, long? bytesPerSecond, CancellationToken cancellationToken)
    {
        await _switch.CallAsync((control, token) => control.LimitAsync(name, bytesPerSecond, token), cancellationToken);
        await _changing.WaitAsync(cancellationToken);
        try
        {
            if (_records.ReadAll().FirstOrDefault(one => one.Spec.Name == name) is { } record)
            {
                _records.Write(record with { Spec = record.Spec with { BytesPerSecond = bytesPerSecond } });
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <summary>All vnics of the switch; none when there is no switch, which is not started for that.</summary>
    public async Task<IReadOnlyList<VnicStatus>> ListAsync(CancellationToken cancellationToken) => _switch.IsConnected || _records.ReadAll().Count > 0
        ? await _switch.CallAsync((control, token) => control.ListAsync(token), cancellationToken)
        : [];

    /// <summary>Finds out what is left of the vnics of an earlier xend, and makes the rest again.</summary>
    public void BeginRestore(Func<IReadOnlyCollection<int>> domains)
    {
        _domains = domains;
        if (_records.ReadAll().Count > 0)
        {
            RestoreInBackground("xend has started");
        }
    }

    private static string TapOf(string directory, string bridge) =>
        "shn" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{directory}\0{bridge}")))[..8];

    private static bool IsRoot => Environment.UserName == "root";

    private static NetworkKind KindOf(VifConfiguration vif, string bridge)
    {
        NetworkKind kind = vif.Kind ?? (vif.Bridge is not null && IsRoot && HostBridge.Exists(bridge) ? NetworkKind.Bridge : NetworkKind.User);
        return kind == NetworkKind.Bridge && !HostBridge.Exists(bridge)
            ? throw new DomainFailureException(DomainFailureCode.HostResource, $"type=bridge: the host has no bridge '{bridge}'")
            : kind;
    }

    private async Task<VnicRecord> MakeAsync(int domain, VifConfiguration vif, string bridge, CancellationToken cancellationToken)
    {
        string device = vif.Number.ToString(CultureInfo.InvariantCulture);
        string name = NameOf(domain, device);
        NetworkKind kind = KindOf(vif, bridge);
        await _changing.WaitAsync(cancellationToken);
        try
        {
            string? address = kind == NetworkKind.User ? AddressFor(vif, bridge) : null;
            VnicRecord record = new()
            {
                Domain = domain,
                Device = device,
                Address = address,
                Forwards = vif.Forwards,
                ReachesLoopback = vif.ReachesLoopback,
                Spec = new VnicSpec
                {
                    Name = name,
                    Token = LinkHello.CreateToken(),
                    Mac = vif.Mac!,
                    Bridge = bridge,
                    Vlan = (ushort)(vif.Vlan ?? Shinano.Network.Switching.PortVlan.Default),
                    Trunk = [.. vif.Trunk.Select(vlan => (ushort)vlan)],
                    IsPromiscuous = vif.IsPromiscuous,
                    Addresses = vif.Addresses,
                    BytesPerSecond = vif.BytesPerSecond,
                    Nat = address is null ? null : new NatSpec
                    {
                        SocketPath = Path.Combine(_switch.Paths.Directory, $"{name}.nat"),
                        Mac = UserNetwork.Mac,
                        Addresses = [UserNetwork.Gateway, UserNetwork.NameServer],
                    },
                    Tap = kind == NetworkKind.Bridge ? TapOf(_switch.Paths.Directory, bridge) : null,
                },
            };
            _records.Write(record);
            try
            {
                await EstablishAsync(record, cancellationToken);
                return record;
            }
            catch
            {
                _records.Delete(name);
                throw;
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    private string AddressFor(VifConfiguration vif, string bridge)
    {
        if (vif.Addresses.FirstOrDefault(one => one.Contains('.', StringComparison.Ordinal)) is { } wanted)
        {
            return wanted.StartsWith("10.0.2.", StringComparison.Ordinal)
                ? wanted
                : throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"ip={wanted}: a user-mode network has addresses 10.0.2.4 to 10.0.2.254");
        }

        HashSet<string> used = [.. _records.ReadAll().Where(record => record.Spec.Bridge == bridge && record.Address is not null).Select(record => record.Address!)];
        return UserNetwork.FreeAddress(used)
            ?? throw new DomainFailureException(DomainFailureCode.HostResource, $"bridge {bridge}: all addresses of the user-mode network are in use");
    }

    private async Task EstablishAsync(VnicRecord record, CancellationToken cancellationToken)
    {
        if (record.Spec.Nat is not null)
        {
            await _passt.StartAsync(record, cancellationToken);
        }

        await _switch.CallAsync((control, token) => control.AddVnicAsync(record.Spec, token), cancellationToken);
        if (record.Spec.Tap is { } tap)
        {
            try
            {
                HostBridge.Connect(record.Spec.Bridge, tap);
            }
            catch (IOException e)
            {
                await _switch.CallAsync((control, token) => control.RemoveVnicAsync(record.Spec.Name, token), cancellationToken);
                throw new DomainFailureException(DomainFailureCode.HostResource, $"vnic {record.Spec.Name}: {e.Message}", e);
            }
        }
    }

    private async Task ReleaseAsync(Func<VnicRecord, bool> which)
    {
        await _changing.WaitAsync();
        try
        {
            foreach (VnicRecord record in _records.ReadAll().Where(which))
            {
                await ForgetAsync(record);
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    private async Task ForgetAsync(VnicRecord record)
    {
        _records.Delete(record.Spec.Name);
        try
        {
            await _switch.CallAsync((control, token) => control.RemoveVnicAsync(record.Spec.Name, token), CancellationToken.None);
        }
        catch (DomainFailureException e)
        {
            _logger.LogWarning("vnic {Name} was not removed: {Message}", record.Spec.Name, e.Message);
        }

        if (record.Spec.Nat is { } nat)
        {
            File.Delete(nat.SocketPath);
        }
    }

    private void RestoreInBackground(string why) => _ = Task.Run(async () =>
    {
        try
        {
            // What made it end may make more end.
            await Task.Delay(RestorePause);
            await RestoreAsync(why);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            _logger.LogError(e, "vnics were not restored");
        }
    });

    private async Task RestoreAsync(string why)
    {
        await _changing.WaitAsync();
        try
        {
            IReadOnlyList<VnicRecord> records = _records.ReadAll();
            if (records.Count == 0)
            {
                return;
            }

            IReadOnlyCollection<int> domains = _domains();
            IReadOnlyList<VnicStatus> present = await _switch.CallAsync((control, token) => control.ListAsync(token), CancellationToken.None);
            foreach (VnicRecord record in records)
            {
                if (!domains.Contains(record.Domain))
                {
                    await ForgetAsync(record);
                }
                else if (present.FirstOrDefault(vnic => vnic.Name == record.Spec.Name) is not { IsUplinkConnected: true })
                {
                    await RestoreAsync(record, why);
                }
            }

            foreach (VnicStatus unknown in present.Where(vnic => records.All(record => record.Spec.Name != vnic.Name)))
            {
                await _switch.CallAsync((control, token) => control.RemoveVnicAsync(unknown.Name, token), CancellationToken.None);
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    private async Task RestoreAsync(VnicRecord record, string why)
    {
        try
        {
            await EstablishAsync(record, CancellationToken.None);
            _logger.LogWarning("vnic {Name} was made again: {Why}", record.Spec.Name, why);
        }
        catch (DomainFailureException e)
        {
            _logger.LogError("vnic {Name} could not be made again: {Message}", record.Spec.Name, e.Message);
        }
    }
}
