using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Control.Configuration.Disks;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Devices;

/// <summary>What is done for a disk. Nodes and their order: libxl_disk.c of Xen 4.17: device_disk_add.</summary>
internal sealed class DiskPlanner(IVolumeResolver volumes)
{
    /// <exception cref="DomainFailureException">The file or the volume is not there.</exception>
    public async Task<DevicePlan> PlanAsync(DiskConfiguration disk, CancellationToken cancellation)
    {
        (string? path, DiskImageFormat format) = await LocateAsync(disk, cancellation);
        string id = disk.Number.ToString(CultureInfo.InvariantCulture);
        DiskDeviceSpec spec = new()
        {
            Id = id,
            VirtualDevice = disk.VirtualDevice,
            Path = path,
            Volume = disk.Volume,
            Format = format,
            ReadOnly = disk.ReadOnly,
            IsCdrom = disk.IsCdrom,
            Discard = disk.Discard,
        };
        string kind = disk.IsCdrom ? "cdrom" : "disk";
        return new DevicePlan(
            spec,
            [("virtual-device", id), ("device-type", kind)],
            [
                ("params", Params(spec)),
                ("bootable", "1"),
                ("dev", disk.VirtualDevice),
                ("type", Type(spec)),
                ("mode", disk.ReadOnly ? "r" : "w"),
                ("removable", disk.IsCdrom ? "1" : "0"),
                ("device-type", kind),
                ("discard-enable", disk.Discard ? "1" : "0"),
            ],
            "vbd-event",
            HotplugNodes(path));
    }

    /// <summary>Nodes that change with the medium of a drive, also to none.</summary>
    public static IEnumerable<(string Node, string Value)> MediumNodes(DevicePlan plan)
    {
        DiskDeviceSpec spec = (DiskDeviceSpec)plan.Spec;
        return
        [
            ("params", Params(spec)),
            ("type", Type(spec)),
            .. spec.Path is null ? [("physical-device", ""), ("physical-device-path", "")] : plan.HotplugNodes,
        ];
    }

    private static string Type(DiskDeviceSpec spec) => spec.Format == DiskImageFormat.Raw ? "phy" : "qdisk";

    private static string Params(DiskDeviceSpec spec) => spec.Path is not { } path ? ""
        : spec.Format == DiskImageFormat.Raw ? path
        : $"{spec.Format.ToString().ToLowerInvariant()}:{path}";

    private static IReadOnlyList<(string Node, string Value)> HotplugNodes(string? path) => path is null
        ? []
        : [("physical-device", DeviceNumber.Of(path)?.ToHexText() ?? ""), ("physical-device-path", path)];

    private async Task<(string? Path, DiskImageFormat Format)> LocateAsync(DiskConfiguration disk, CancellationToken cancellation)
    {
        DiskImageFormat? stated = disk.Format switch
        {
            DiskFormat.Qcow2 => DiskImageFormat.Qcow2,
            DiskFormat.Raw => DiskImageFormat.Raw,
            _ => null,
        };
        if (disk.Volume is { } volume)
        {
            VolumePlace place = await volumes.ResolveAsync(volume, cancellation);
            return !place.ReadOnly || disk.ReadOnly
                ? (place.Path, stated ?? place.Format)
                : throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"disk {disk.VirtualDevice}: vol:{volume} is read-only; attach it with 'r'");
        }

        if (disk.Target is { } target && DeviceNumber.Of(target) is null)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"disk {disk.VirtualDevice}: {target} does not exist, or may not be looked at");
        }

        return (disk.Target, stated ?? DiskImageFormat.Raw);
    }
}
