using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Control.Configuration;
using Shinano.Control.Configuration.Disks;
using Shinano.Control.Configuration.Networks;
using Shinano.Control.Daemon.Domains;
using Shinano.Control.Daemon.Networks;

namespace Shinano.Control.Daemon.Devices;

/// <summary>Attaches and detaches devices: nodes, hot-plug hand-shake and scripts, and the back end in the domain process.</summary>
internal sealed class DomainDevices(
    DeviceTree tree, DiskPlanner disks, DomainNetworks networks, HotplugEvents scripts, ILogger<DomainDevices> logger)
{
    /// <summary>Opening an image on a slow disk.</summary>
    private static readonly TimeSpan AttachPatience = TimeSpan.FromSeconds(30);

    /// <summary>libxl: LIBXL_DESTROY_TIMEOUT is 10 s for a guest that does not let go.</summary>
    private static readonly TimeSpan DetachPatience = TimeSpan.FromSeconds(10);

    /// <summary>A guest that has closed a device takes it out of its tree next.</summary>
    private static readonly TimeSpan ForgetPatience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ForgetPause = TimeSpan.FromMilliseconds(20);

    /// <summary>From a new interface's appearance until a guest's driver begins with it: a busy guest on a busy host.</summary>
    private static readonly TimeSpan TakeUpPatience = TimeSpan.FromSeconds(20);

    /// <summary>Linux: XENNET_TIMEOUT is 5 s, of the guest's time.</summary>
    private static readonly TimeSpan LeastAbsence = TimeSpan.FromSeconds(6);
    private static readonly TimeSpan MostAbsence = TimeSpan.FromSeconds(60);

    // public/io/xenbus.h: states of a front end.
    private const string Initialising = "1";
    private const string Closing = "5";
    private const string Closed = "6";

    /// <summary>The devices that a configuration asks for, in the order in which they are made.</summary>
    public async Task<IReadOnlyList<DevicePlan>> PlansOfAsync(DomainConfiguration configuration, CancellationToken cancellationToken)
    {
        List<DevicePlan> plans = [];
        foreach (DiskConfiguration disk in configuration.Disks)
        {
            plans.Add(await disks.PlanAsync(disk, cancellationToken));
        }

        plans.AddRange(configuration.Vifs.Select(networks.Plan));
        return plans;
    }

    /// <summary>An interface whose cable leads nowhere, for the guest of a copied domain to let go of.</summary>
    public DevicePlan PlanUnplugged(VifConfiguration vif) => networks.PlanUnplugged(vif);

    /// <summary>
    /// Has the guest let go of an interface, however long that takes, and attaches another with its number. The domain's gate is taken once the guest has let go.
    /// </summary>
    /// <exception cref="DomainFailureException">The domain has ended, or the new interface is refused; the guest has none then.</exception>
    public async Task ReplaceAsync(DomainEntry entry, VifConfiguration vif, CancellationToken cancellationToken)
    {
        DevicePlan next = networks.Plan(vif);
        (string kind, string id) = (next.Spec.Kind, next.Spec.Id);
        bool hasDriver = tree.IsWatched(entry.Id, kind, id);
        try
        {
            tree.Change(entry.Id, kind, id, [("online", "0")]);
            await entry.RequireConnection().CallAsync(
                (process, token) => process.DetachDeviceAsync(kind, id, false, token), Timeout.InfiniteTimeSpan, cancellationToken);
        }
        catch (DomainFailureException e) when (e.Failure.Code == DomainFailureCode.InvalidArgument)
        {
            // It let go before.
        }

        // Linux: xenbus_dev_remove stops watching and reads the back end's state once; xennet_bus_close waits for ever unless that is 6 then, or becomes 5 or 6, or goes.
        // So the front end's directory goes first, and the back end's last state stays until the new one's takes its place.
        tree.RemoveFront(entry.Id, kind, id);
        await WhileAsync(() => tree.IsWatched(entry.Id, kind, id), ForgetPatience);
        for (TimeSpan absence = LeastAbsence; ; absence *= 2)
        {
            await UnderGateAsync(async () =>
            {
                await ForgetAsync(entry, kind, id);
                await PlugInAsync(entry, next, cancellationToken);
                entry.Update(record => record with
                {
                    Configuration = record.Configuration with { Vifs = [.. record.Configuration.Vifs.Where(other => other.Number != vif.Number), vif] },
                });
            });
            if (!hasDriver)
            {
                break;
            }

            await WhileAsync(() => tree.ReadFront(entry.Id, kind, id, "state") is Initialising or Closing, TakeUpPatience);
            if (tree.ReadFront(entry.Id, kind, id, "state") is not (Initialising or Closing or Closed) || absence > MostAbsence)
            {
                break;
            }

            // It read the new one's state after all. It sees that there is none at the end of one of its waits of five seconds.
            await UnderGateAsync(() => DetachAsync(entry, kind, id, force: true, cancellationToken));
            await WhileAsync(() => true, absence);
        }

        await UnderGateAsync(() =>
        {
            entry.Update(record => record with { AwaitedVifs = [.. record.AwaitedVifs.Where(other => other.Number != vif.Number)] });
            return Task.CompletedTask;
        });

        async Task WhileAsync(Func<bool> condition, TimeSpan patience)
        {
            long limit = Environment.TickCount64 + (long)patience.TotalMilliseconds;
            while (!entry.Ended && condition() && Environment.TickCount64 < limit)
            {
                await Task.Delay(ForgetPause, cancellationToken);
            }
        }

        async Task UnderGateAsync(Func<Task> work)
        {
            await entry.Gate.WaitAsync(cancellationToken);
            try
            {
                if (!entry.Ended)
                {
                    await work();
                }
            }
            finally
            {
                entry.Gate.Release();
            }
        }
    }

    /// <summary>Attaches a device to a built domain. Nothing stays behind when it fails.</summary>
    /// <exception cref="DomainFailureException">The script, or the domain process, refused.</exception>
    public async Task AttachAsync(DomainEntry entry, DevicePlan plan, CancellationToken cancellationToken)
    {
        if (tree.ReadBack(entry.Id, plan.Spec.Kind, plan.Spec.Id, "state") is not null)
        {
            throw new DomainFailureException(DomainFailureCode.Duplicate, $"domain '{entry.Record.Name}' has a device {plan.Spec.Kind}/{plan.Spec.Id} already");
        }

        await PlugInAsync(entry, plan, cancellationToken);
    }

    /// <summary>Attaches a device over whatever nodes an earlier one of its number has left.</summary>
    private async Task PlugInAsync(DomainEntry entry, DevicePlan plan, CancellationToken cancellationToken)
    {
        DeviceSpec spec = plan.Spec;
        string back = DeviceTree.BackPath(entry.Id, spec.Kind, spec.Id);
        if (plan.PrepareAsync is { } prepare)
        {
            plan = await prepare(entry, plan.RestoredFront is not null, cancellationToken) with { RestoredFront = plan.RestoredFront };
            spec = plan.Spec;
        }

        try
        {
            tree.Write(entry.Id, plan);
            await scripts.RunAsync(plan.HotplugEvent, "add", spec.Kind, back, cancellationToken);
            if (plan.FollowingEvent is { } following)
            {
                await scripts.RunAsync(following, "add", spec.Kind, back, cancellationToken);
            }

            await entry.RequireConnection().CallAsync((process, token) => process.AttachDeviceAsync(spec, token), AttachPatience, cancellationToken);
            tree.Change(entry.Id, spec.Kind, spec.Id, [.. plan.HotplugNodes, ("hotplug-status", "connected")]);
        }
        catch (Exception e)
        {
            // For who watches the hand-shake; the nodes go right after.
            tree.Change(entry.Id, spec.Kind, spec.Id, [("hotplug-error", e.Message), ("hotplug-status", "error")]);
            tree.Remove(entry.Id, spec.Kind, spec.Id);
            await networks.ReleaseAsync(entry.Id, spec.Kind, spec.Id);
            throw;
        }

        logger.LogInformation("domain {Id} '{Name}': device {Kind}/{Device} is attached", entry.Id, entry.Record.Name, spec.Kind, spec.Id);
    }

    /// <summary>Detaches a device; its nodes are gone when this returns.</summary>
    /// <param name="force">Do not ask the guest.</param>
    /// <exception cref="DomainFailureException">There is no such device, or the guest has not let go in time; it goes when the guest does.</exception>
    public async Task DetachAsync(DomainEntry entry, string kind, string id, bool force, CancellationToken cancellationToken)
    {
        if (tree.ReadBack(entry.Id, kind, id, "state") is null)
        {
            throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"domain '{entry.Record.Name}' has no device {kind}/{id}");
        }

        tree.Change(entry.Id, kind, id, [("online", "0")]);
        try
        {
            await entry.RequireConnection().CallAsync((process, token) => process.DetachDeviceAsync(kind, id, force, token), DetachPatience, cancellationToken);
        }
        catch (DomainFailureException e) when (e.Failure.Code == DomainFailureCode.TimedOut)
        {
            throw new DomainFailureException(
                DomainFailureCode.TimedOut,
                $"the guest has not let go of {kind}/{id} within {DetachPatience.TotalSeconds:0} s; it goes when the guest does, or with force",
                e);
        }
        catch (DomainFailureException e) when (e.Failure.Code == DomainFailureCode.InvalidArgument)
        {
            // The back end has ended before: only the nodes were left.
        }

        await FinishAsync(entry, kind, id);
    }

    /// <summary>Changes an attached device.</summary>
    public async Task ReconfigureAsync(DomainEntry entry, DeviceSpec spec, IEnumerable<(string Node, string Value)> nodes, CancellationToken cancellationToken)
    {
        await entry.RequireConnection().CallAsync((process, token) => process.ReconfigureDeviceAsync(spec, token), AttachPatience, cancellationToken);
        tree.Change(entry.Id, spec.Kind, spec.Id, nodes);
    }

    /// <summary>Takes a snapshot of the volume that a disk writes to.</summary>
    /// <param name="guid">What the snapshot is known by.</param>
    public Task SnapshotAsync(DomainEntry entry, string id, string snapshot, Guid guid, CancellationToken cancellationToken) =>
        entry.RequireConnection().CallAsync((process, token) => process.SnapshotVolumeAsync(id, snapshot, guid, token), AttachPatience, cancellationToken);

    /// <summary>Begins to flatten the volume that a disk writes to, or ends that.</summary>
    /// <param name="volume">Null to end it.</param>
    public Task FlattenAsync(DomainEntry entry, string id, string? volume, CancellationToken cancellationToken) => entry.RequireConnection().CallAsync(
        (process, token) => volume is null ? process.StopFlattenAsync(id, token) : process.BeginFlattenAsync(id, volume, token), AttachPatience, cancellationToken);

    /// <summary>Removes the nodes of devices that the domain process does not have any more: they ended while nobody waited.</summary>
    public async Task ReconcileAsync(DomainEntry entry, CancellationToken cancellationToken)
    {
        IReadOnlyList<DeviceStatus> present = await entry.RequireConnection().CallAsync(
            (process, token) => process.GetDevicesAsync(token), DomainEntry.QuickCall, cancellationToken);
        foreach ((string kind, string id) in tree.List(entry.Id))
        {
            if (!present.Any(device => device.Kind == kind && device.Id == id))
            {
                await FinishAsync(entry, kind, id);
            }
        }
    }

    /// <summary>A domain is gone: what its devices had of the host goes.</summary>
    public Task ReleaseAllAsync(int domain) => networks.ReleaseAllAsync(domain);

    /// <summary>A back end has ended: its nodes go, if they are still there.</summary>
    private async Task FinishAsync(DomainEntry entry, string kind, string id)
    {
        await ForgetAsync(entry, kind, id);
        tree.Remove(entry.Id, kind, id);
    }

    /// <summary>A back end has ended: what it had of the host goes, and its part of the configuration, if its nodes are still there. They stay.</summary>
    private async Task ForgetAsync(DomainEntry entry, string kind, string id)
    {
        if (tree.ReadBack(entry.Id, kind, id, "state") is null)
        {
            return;
        }

        try
        {
            await scripts.RunAsync($"{kind}-event", "remove", kind, DeviceTree.BackPath(entry.Id, kind, id), CancellationToken.None);
        }
        catch (DomainFailureException e)
        {
            logger.LogWarning("domain {Id} '{Name}': {Message}", entry.Id, entry.Record.Name, e.Message);
        }

        await networks.ReleaseAsync(entry.Id, kind, id);
        entry.Update(record => record with { Configuration = Without(record.Configuration, kind, id) });
        logger.LogInformation("domain {Id} '{Name}': device {Kind}/{Device} is detached", entry.Id, entry.Record.Name, kind, id);
    }

    private static DomainConfiguration Without(DomainConfiguration configuration, string kind, string id) => kind switch
    {
        "vbd" => configuration with { Disks = [.. configuration.Disks.Where(disk => disk.Number.ToString(CultureInfo.InvariantCulture) != id)] },
        "vif" => configuration with { Vifs = [.. configuration.Vifs.Where(vif => vif.Number.ToString(CultureInfo.InvariantCulture) != id)] },
        "console" => configuration with { Channels = [.. configuration.Channels.Where(channel => channel.Number.ToString(CultureInfo.InvariantCulture) != id)] },
        _ => configuration,
    };
}
