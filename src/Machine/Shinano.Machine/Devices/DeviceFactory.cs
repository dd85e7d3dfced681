using Shinano.Control.Api.Domains.Devices;
using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Machine.Devices;

/// <summary>Makes the back end for each kind of device that xend can ask for.</summary>
internal static class DeviceFactory
{
    /// <exception cref="BackEndException">There is no back end for it.</exception>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    public static Task<IBackEndDevice> CreateAsync(DeviceSpec spec, CancellationToken cancellation) => spec switch
    {
        _ => throw new BackEndException($"there is no back end for {spec.Kind}"),
    };

    /// <summary>Changes an attached device to what a new specification says.</summary>
    /// <exception cref="BackEndException">The device cannot be changed so.</exception>
    public static Task ReconfigureAsync(IBackEndDevice device, DeviceSpec spec, CancellationToken cancellation) => (device, spec) switch
    {
        _ => throw new BackEndException($"{spec.Kind}/{spec.Id} cannot be changed while it is attached"),
    };
}
