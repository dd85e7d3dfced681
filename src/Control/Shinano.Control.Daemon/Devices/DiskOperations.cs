using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
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
        (DomainEntry entry, DiskConfiguration disk) = WriterOf(entries, snapshot.Split('@', 2)[0]);
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

    /// <summary>Begins to flatten a volume that one of the domains writes to.</summary>
    /// <param name="entries">The domains that there are.</param>
    /// <param name="volume">POOL/VOLUME.</param>
    /// <exception cref="DomainFailureException">No domain does, or the pool refuses.</exception>
    public Task BeginFlattenAsync(IEnumerable<DomainEntry> entries, string volume, CancellationToken cancellationToken) =>
        FlattenAsync(entries, volume, begin: true, cancellationToken);

    /// <summary>Ends that.</summary>
    public Task StopFlattenAsync(IEnumerable<DomainEntry> entries, string volume, CancellationToken cancellationToken) =>
        FlattenAsync(entries, volume, begin: false, cancellationToken);

    /// <summary>What of that goes on in the domains, and what was last. A domain that does not answer, or is older than this, has nothing to say.</summary>
    public async Task<IReadOnlyList<FlattenStatus>> ListFlattenAsync(IEnumerable<DomainEntry> entries, CancellationToken cancellationToken)
    {
        IReadOnlyList<FlattenStatus>[] all = await Task.WhenAll(
            entries.Where(entry => entry.Record.Configuration.Disks.Any(disk => disk.Volume is not null && !disk.ReadOnly)).Select(AskAsync));
        return [.. all.SelectMany(one => one)];

        async Task<IReadOnlyList<FlattenStatus>> AskAsync(DomainEntry entry)
        {
            try
            {
                return await entry.RequireConnection().CallAsync((process, token) => process.GetFlattenAsync(token), DomainEntry.QuickCall, cancellationToken);
            }
            catch (DomainFailureException)
            {
                return [];
            }
        }
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

    private async Task FlattenAsync(IEnumerable<DomainEntry> entries, string volume, bool begin, CancellationToken cancellationToken)
    {
        (DomainEntry entry, DiskConfiguration disk) = WriterOf(entries, volume);
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            await devices.FlattenAsync(entry, disk.Number.ToString(CultureInfo.InvariantCulture), begin ? volume : null, cancellationToken);
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    private static (DomainEntry Entry, DiskConfiguration Disk) WriterOf(IEnumerable<DomainEntry> entries, string volume) =>
    (
        from candidate in entries
        from disk in candidate.Record.Configuration.Disks
        where disk.Volume == volume && !disk.ReadOnly
        select ((DomainEntry, DiskConfiguration)?)(candidate, disk)).FirstOrDefault() ?? throw Invalid($"no running domain writes to '{volume}'");

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
