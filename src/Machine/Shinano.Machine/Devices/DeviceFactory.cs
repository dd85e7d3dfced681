using Shinano.Control.Api.Domains.Devices;
using Shinano.Devices.Paravirtual.Block;
using Shinano.Devices.Paravirtual.Console;
using Shinano.Devices.Paravirtual.Network;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Linux;
using Shinano.Network.Frames;
using Shinano.Storage;
using Shinano.Storage.Pools;

namespace Shinano.Machine.Devices;

/// <summary>Makes the back end for each kind of device that xend can ask for.</summary>
internal static class DeviceFactory
{
    /// <param name="inherited">Grants that the device has mapped already as the guest of a restored domain sees it.</param>
    /// <exception cref="BackEndException">There is no back end for it.</exception>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    public static async Task<IBackEndDevice> CreateAsync(
        DeviceSpec spec, DisplayWiring displays, IReadOnlyList<KeptGrants> inherited, CancellationToken cancellation) => spec switch
        {
            DiskDeviceSpec disk => await BlockBackEnd.CreateAsync(SettingsOf(disk) with { Inherited = inherited }, token => OpenAsync(disk, token), cancellation).ConfigureAwait(false),
            NetworkDeviceSpec network => new NetBackEnd(new NetSettings
            {
                Id = network.Id,
                LinkPath = network.LinkPath,
                Token = network.Token,
                Announced = MacAddress.TryParse(network.AnnouncedMac, out MacAddress address) ? address : null,
            }),
            FramebufferDeviceSpec framebuffer => displays.CreateFramebuffer(framebuffer),
            KeyboardDeviceSpec keyboard => displays.CreateKeyboard(keyboard),
            ConsoleDeviceSpec console => new ConsoleDevice(console.Id, console.SocketPath, console.BacklogBytes, console.SendsBacklog),
            _ => throw new BackEndException($"there is no back end for {spec.Kind}"),
        };

    /// <summary>Changes an attached device to what a new specification says.</summary>
    /// <exception cref="BackEndException">The device cannot be changed so.</exception>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    public static Task ReconfigureAsync(IBackEndDevice device, DeviceSpec spec, CancellationToken cancellation) => (device, spec) switch
    {
        (BlockBackEnd block, DiskDeviceSpec disk) => block.ReplaceAsync(token => OpenAsync(disk, token), cancellation),
        _ => throw new BackEndException($"{spec.Kind}/{spec.Id} cannot be changed while it is attached"),
    };

    private static BlockSettings SettingsOf(DiskDeviceSpec disk) => new()
    {
        Id = disk.Id,
        ReadOnly = disk.ReadOnly,
        IsCdrom = disk.IsCdrom,
        Discard = disk.Discard && !disk.ReadOnly,
    };

    private static async ValueTask<IBlockImage?> OpenAsync(DiskDeviceSpec disk, CancellationToken cancellation) => disk.Volume is { } volume
        ? await new VolumePools(ShinanoPaths.Current).OpenAsync(volume, disk.ReadOnly, cancellation).ConfigureAwait(false)
        : disk.Path is { } path ? await ImageFile.OpenAsync(
            new ImageReference(path, disk.Format == DiskImageFormat.Qcow2 ? ImageFormat.Qcow2 : ImageFormat.Raw) { ReadOnly = disk.ReadOnly },
            cancellation).ConfigureAwait(false)
        : null;
}
