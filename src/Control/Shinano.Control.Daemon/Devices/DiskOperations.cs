using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration.Disks;
using Shinano.Control.Daemon.Domains;

namespace Shinano.Control.Daemon.Devices;

/// <summary>xm's verbs about disks.</summary>
internal sealed class DiskOperations(DomainDevices devices, DiskPlanner planner, DeviceTree tree)
{
    private const string Kind = "vbd";

    public async Task AttachAsync(DomainEntry entry, DiskRequest request, CancellationToken cancellationToken)
    {
        DiskConfiguration disk = Parse(request);
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            await devices.AttachAsync(entry, await planner.PlanAsync(disk, cancellationToken), cancellationToken);
            entry.Update(record => record with
            {
                Configuration = record.Configuration with { Disks = [.. record.Configuration.Disks.Where(other => other.Number != disk.Number), disk] },
            });
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>Detaches a disk, named by its name in the guest or its number.</summary>
    public async Task DetachAsync(DomainEntry entry, DetachRequest request, CancellationToken cancellationToken)
    {
        string id = NumberOf(request.Device);
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            await devices.DetachAsync(entry, Kind, id, request.Force, cancellationToken);
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>Puts another medium into a drive; for a disk that stays, tells the guest its file's present size.</summary>
    public async Task ConfigureAsync(DomainEntry entry, DiskRequest request, CancellationToken cancellationToken)
    {
        DiskConfiguration disk = Parse(request);
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            DiskConfiguration present = entry.Record.Configuration.Disks.FirstOrDefault(other => other.Number == disk.Number)
                ?? throw Invalid($"domain '{entry.Record.Name}' has no disk {disk.VirtualDevice}");
            if (present.IsCdrom != disk.IsCdrom || present.ReadOnly != disk.ReadOnly)
            {
                throw Invalid($"{disk.VirtualDevice}: type and access cannot change while it is attached");
            }

            DevicePlan plan = await planner.PlanAsync(disk, cancellationToken);
            await devices.ReconfigureAsync(entry, plan.Spec, DiskPlanner.MediumNodes(plan), cancellationToken);
            entry.Update(record => record with
            {
                Configuration = record.Configuration with { Disks = [.. record.Configuration.Disks.Select(other => other.Number == disk.Number ? disk : other)] },
            });
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>Takes a snapshot of a volume that one of the domains writes to.</summary>
    /// <param name="entries">The domains that there are.</param>
    /// <param name="snapshot">POOL/VOLUME@SNAPSHOT.</param>
    /// <exception cref="DomainFailureException">No domain does, or the pool refuses.</exception>
    public async Task SnapshotAsync(IEnumerable<DomainEntry> entries, string snapshot, CancellationToken cancellationToken)
    {
        string volume = snapshot.Split('@', 2)[0];
        (DomainEntry? entry, DiskConfiguration? disk) = (
            from candidate in entries
            from one in candidate.Record.Configuration.Disks
            where one.Volume == volume && !one.ReadOnly
            select (candidate, one)).FirstOrDefault();
        if (entry is null || disk is null)
        {
            throw Invalid($"no running domain writes to '{volume}'");
        }

        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            await SnapshotAsync(entry, disk, snapshot, Guid.NewGuid(), cancellationToken);
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>Takes a snapshot of the volume that a domain's disk writes to; the domain's gate is held.</summary>
    /// <param name="guid">What the snapshot is known by.</param>
    /// <exception cref="DomainFailureException">The pool refuses.</exception>
    public async Task SnapshotAsync(DomainEntry entry, DiskConfiguration disk, string snapshot, Guid guid, CancellationToken cancellationToken)
    {
        string id = disk.Number.ToString(CultureInfo.InvariantCulture);
        await devices.SnapshotAsync(entry, id, snapshot, guid, cancellationToken);
        tree.Change(entry.Id, Kind, id, DiskPlanner.MediumNodes(await planner.PlanAsync(disk, cancellationToken)));
    }

    public async Task<IReadOnlyList<DiskDetails>> ListAsync(DomainEntry entry, CancellationToken cancellationToken)
    {
        (DomainStatus? status, _) = await entry.GetStatusAsync(cancellationToken);
        return
        [
            .. tree.List(entry.Id, Kind).Select(id => new DiskDetails
            {
                Id = id,
                VirtualDevice = tree.ReadBack(entry.Id, Kind, id, "dev") ?? id,
                State = int.TryParse(tree.ReadBack(entry.Id, Kind, id, "state"), NumberStyles.None, CultureInfo.InvariantCulture, out int state) ? state : 0,
                EventChannel = tree.ReadFront(entry.Id, Kind, id, "event-channel") ?? tree.ReadFront(entry.Id, Kind, id, "queue-0/event-channel"),
                RingReference = tree.ReadFront(entry.Id, Kind, id, "ring-ref")
                    ?? tree.ReadFront(entry.Id, Kind, id, "ring-ref0") ?? tree.ReadFront(entry.Id, Kind, id, "queue-0/ring-ref")
                    ?? tree.ReadFront(entry.Id, Kind, id, "queue-0/ring-ref0"),
                BackEndPath = DeviceTree.BackPath(entry.Id, Kind, id),
                Parameters = tree.ReadBack(entry.Id, Kind, id, "params") ?? "",
                Mode = tree.ReadBack(entry.Id, Kind, id, "mode") ?? "",
                Status = status?.Devices.FirstOrDefault(device => device.Kind == Kind && device.Id == id),
            }),
        ];
    }

    private static DiskConfiguration Parse(DiskRequest request)
    {
        (DiskConfiguration? disk, string? problem, int at, _) = DiskString.Read(request.Disk);
        return disk is null
            ? throw Invalid($"disk '{request.Disk}': at character {at + 1}: {problem}")
            : ConfigurationIntake.Anchor(disk, request.WorkingDirectory);
    }

    private static string NumberOf(string device) => VirtualDiskName.TryParse(device, out int number)
        ? number.ToString(CultureInfo.InvariantCulture)
        : throw Invalid($"'{device}' is no virtual device: xvda, or a number of xm block-list");

    private static DomainFailureException Invalid(string message) => new(DomainFailureCode.InvalidArgument, message);
}
