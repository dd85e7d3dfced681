using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Machine.Devices;

/// <summary>xend's calls about devices, in the terms of the registry.</summary>
internal static class DeviceCalls
{
    public static async Task AttachAsync(
        BackEndRegistry devices, DisplayWiring displays, DeviceSpec spec, IReadOnlyList<KeptGrants> inherited, CancellationToken cancellation)
    {
        try
        {
            await devices.AttachAsync(await DeviceFactory.CreateAsync(spec, displays, inherited, cancellation).ConfigureAwait(false), cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is BackEndException or IOException or UnauthorizedAccessException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, e.Message, e);
        }
    }

    public static async Task DetachAsync(BackEndRegistry devices, string kind, string id, bool force, CancellationToken cancellation)
    {
        try
        {
            await devices.DetachAsync(kind, id, force, cancellation).ConfigureAwait(false);
        }
        catch (BackEndException e)
        {
            throw new DomainFailureException(DomainFailureCode.InvalidArgument, e.Message, e);
        }
    }

    public static async Task ReconfigureAsync(BackEndRegistry devices, DeviceSpec spec, CancellationToken cancellation)
    {
        try
        {
            await DeviceFactory.ReconfigureAsync(devices.Get(spec.Kind, spec.Id), spec, cancellation).ConfigureAwait(false);
        }
        catch (BackEndException e)
        {
            throw new DomainFailureException(DomainFailureCode.InvalidArgument, e.Message, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, e.Message, e);
        }
    }

    public static IReadOnlyList<DeviceStatus> Describe(BackEndRegistry devices) =>
    [
        .. devices.List().Select(device => new DeviceStatus
        {
            Kind = device.Kind,
            Id = device.Id,
            State = (int)device.State,
            Error = device.Error,
            Counters = [.. device.Counters.Select(counter => new PerfCounter(counter.Name, counter.Value))],
        }),
    ];
}
