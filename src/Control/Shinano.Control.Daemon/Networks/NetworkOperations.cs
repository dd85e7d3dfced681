using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration.Networks;
using Shinano.Control.Daemon.Devices;
using Shinano.Control.Daemon.Domains;
using Shinano.Network.Control;

namespace Shinano.Control.Daemon.Networks;

/// <summary>xm's and xvnic's verbs about networks.</summary>
internal sealed class NetworkOperations(DomainDevices devices, DomainNetworks networks, SwitchConnection connection, DeviceTree tree)
{
    private const string Kind = "vif";

    public async Task AttachAsync(DomainEntry entry, VifRequest request, CancellationToken cancellationToken)
    {
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            IReadOnlyList<VifConfiguration> present = entry.Record.Configuration.Vifs;
            int free = Enumerable.Range(0, present.Count + 1).First(number => present.All(vif => vif.Number != number));
            (VifConfiguration? parsed, string? problem, int at, _) = VifString.Read(request.Vif, free);
            VifConfiguration vif = ConfigurationIntake.Complete(parsed ?? throw Invalid($"vif '{request.Vif}': at character {at + 1}: {problem}"));
            await devices.AttachAsync(entry, networks.Plan(vif), cancellationToken);
            entry.Update(record => record with
            {
                Configuration = record.Configuration with { Vifs = [.. record.Configuration.Vifs.Where(other => other.Number != vif.Number), vif] },
            });
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>Detaches an interface, named by its number or its Ethernet address.</summary>
    public async Task DetachAsync(DomainEntry entry, DetachRequest request, CancellationToken cancellationToken)
    {
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            string id = entry.Record.Configuration.Vifs.FirstOrDefault(vif => string.Equals(vif.Mac, request.Device, StringComparison.OrdinalIgnoreCase)) is { } found
                ? found.Number.ToString(CultureInfo.InvariantCulture)
                : int.TryParse(request.Device, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number.ToString(CultureInfo.InvariantCulture)
                : throw Invalid($"'{request.Device}' is no interface of domain '{entry.Record.Name}': a number of xm network-list, or its MAC");
            await devices.DetachAsync(entry, Kind, id, request.Force, cancellationToken);
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    public async Task<IReadOnlyList<VifDetails>> ListAsync(DomainEntry entry, CancellationToken cancellationToken)
    {
        (DomainStatus? status, _) = await entry.GetStatusAsync(cancellationToken);
        IReadOnlyList<VnicStatus> vnics = await ListVnicsAsync(cancellationToken);
        string? Front(string id, string node) => tree.ReadFront(entry.Id, Kind, id, node) ?? tree.ReadFront(entry.Id, Kind, id, $"queue-0/{node}");
        return
        [
            .. tree.List(entry.Id, Kind).Select(id => new VifDetails
            {
                Id = id,
                Mac = tree.ReadBack(entry.Id, Kind, id, "mac") ?? "",
                State = int.TryParse(tree.ReadBack(entry.Id, Kind, id, "state"), NumberStyles.None, CultureInfo.InvariantCulture, out int state) ? state : 0,
                EventChannel = Front(id, "event-channel") ?? Front(id, "event-channel-tx"),
                TransmitRingReference = Front(id, "tx-ring-ref"),
                ReceiveRingReference = Front(id, "rx-ring-ref"),
                BackEndPath = DeviceTree.BackPath(entry.Id, Kind, id),
                Vnic = tree.ReadBack(entry.Id, Kind, id, "nic"),
                Switch = vnics.FirstOrDefault(vnic => vnic.Name == DomainNetworks.NameOf(entry.Id, id)),
                Status = status?.Devices.FirstOrDefault(device => device.Kind == Kind && device.Id == id),
            }),
        ];
    }

    public Task<IReadOnlyList<VnicStatus>> ListVnicsAsync(CancellationToken cancellationToken) => networks.ListAsync(cancellationToken);

    public Task LimitAsync(string vnic, VnicLimitRequest request, CancellationToken cancellationToken) => request.BytesPerSecond is < 1
        ? throw Invalid("a limit is at least a byte in a second")
        : networks.LimitAsync(vnic, request.BytesPerSecond, cancellationToken);

    public Task StartCaptureAsync(string vnic, VnicCaptureRequest request, CancellationToken cancellationToken) => Path.IsPathRooted(request.Path)
        ? connection.CallAsync((control, token) => control.StartCaptureAsync(vnic, request.Path, token), cancellationToken)
        : throw Invalid("a capture's path is absolute");

    public Task<CaptureSummary> StopCaptureAsync(string vnic, CancellationToken cancellationToken) =>
        connection.CallAsync((control, token) => control.StopCaptureAsync(vnic, token), cancellationToken);

    private static DomainFailureException Invalid(string message) => new(DomainFailureCode.InvalidArgument, message);
}
