using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>The devices of one domain. They come and go while the domain runs. Thread-safe.</summary>
/// <param name="store">xenstore with a back end's rights; not disposed with this.</param>
/// <param name="domain">The front ends' domain.</param>
/// <param name="guest">What back ends reach of it.</param>
public sealed class BackEndRegistry(IBackEndStore store, DomainId domain, IFrontEndDomain guest) : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(string Kind, string Id), BackEndDriver> _devices = [];
    private bool _disposed;

    /// <summary>A device has ended because its front end closed after a detach that was not waited for, or its nodes were removed.</summary>
    public event Action<string, string>? Ended;

    /// <summary>Attaches a device, whose nodes xend has made. Completes when it is prepared and waits for a front end.</summary>
    /// <param name="device">Is disposed when the device ends, or cannot be attached.</param>
    /// <exception cref="BackEndException">There is such a device, or it is not to be had.</exception>
    public async Task AttachAsync(IBackEndDevice device, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(device);
        (string Kind, string Id) key = (device.Kind, device.Id);
        BackEndDriver? driver = null;
        lock (_lock)
        {
            if (!_disposed && !_devices.ContainsKey(key))
            {
                driver = new BackEndDriver(device, new BackEndNodes(store, domain, device.Kind, device.Id), guest);
                _devices.Add(key, driver);
            }
        }

        if (driver is null)
        {
            await device.DisposeAsync().ConfigureAwait(false);
            throw new BackEndException($"{key.Kind}/{key.Id} is attached already");
        }

        _ = ForgetAsync(key, driver);
        try
        {
            await driver.ReadyAsync(cancellation).ConfigureAwait(false);
        }
        catch
        {
            await driver.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Detaches a device: asks the guest, and waits until it has let go or the wait is cancelled; the request stands then.</summary>
    /// <param name="force">Do not ask.</param>
    /// <exception cref="BackEndException">There is no such device.</exception>
    public async Task DetachAsync(string kind, string id, bool force, CancellationToken cancellation)
    {
        BackEndDriver driver = Find(kind, id);
        if (force)
        {
            await driver.DisposeAsync().ConfigureAwait(false);
            return;
        }

        driver.BeginDetach();
        await driver.Ended.WaitAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Has every device let go of the guest, which executes nothing, without its notice. Undone by <see cref="Resume"/>, also after a failure.</summary>
    public Task SuspendAsync(CancellationToken cancellation) => Task.WhenAll(Drivers().Select(driver => driver.SuspendAsync(cancellation)));

    /// <summary>Has every suspended device give up what of the host's only one may have, so that a successor elsewhere can have it.</summary>
    public Task LetGoOfHostAsync() => Task.WhenAll(Drivers().Select(driver => driver.Device.LetGoOfHostAsync()));

    /// <summary>Undoes <see cref="LetGoOfHostAsync"/>; before <see cref="Resume"/>.</summary>
    /// <exception cref="IOException">Something is not to be had now; the call may be made again.</exception>
    public async Task TakeUpHostAsync()
    {
        foreach (BackEndDriver driver in Drivers())
        {
            await driver.Device.TakeUpHostAsync().ConfigureAwait(false);
        }
    }

    /// <summary>What the suspended devices keep mapped; those that keep nothing are left out.</summary>
    public IReadOnlyList<DeviceGrants> DescribeKept() =>
    [
        .. Drivers().Select(driver => new DeviceGrants(driver.Device.Kind, driver.Device.Id, driver.Device.DescribeKept())).Where(device => device.Kept.Count > 0),
    ];

    /// <summary>Undoes <see cref="SuspendAsync"/>.</summary>
    public void Resume()
    {
        foreach (BackEndDriver driver in Drivers())
        {
            driver.Resume();
        }
    }

    /// <summary>The device itself, e.g. to change its medium.</summary>
    /// <exception cref="BackEndException">There is no such device.</exception>
    public IBackEndDevice Get(string kind, string id) => Find(kind, id).Device;

    /// <summary>The devices themselves, in any order.</summary>
    public IReadOnlyList<IBackEndDevice> Devices => [.. Drivers().Select(driver => driver.Device)];

    /// <summary>All devices, by kind and number.</summary>
    public IReadOnlyList<DeviceSummary> List() =>
        [.. Drivers().Select(driver => driver.Describe()).OrderBy(device => device.Kind, StringComparer.Ordinal).ThenBy(device => device.Id, StringComparer.Ordinal)];

    /// <summary>Ends all devices; the guest executes no more.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            _disposed = true;
        }

        await Task.WhenAll(Drivers().Select(driver => driver.DisposeAsync().AsTask())).ConfigureAwait(false);
    }

    private BackEndDriver Find(string kind, string id)
    {
        lock (_lock)
        {
            return _devices.GetValueOrDefault((kind, id)) ?? throw new BackEndException($"there is no device {kind}/{id}");
        }
    }

    private BackEndDriver[] Drivers()
    {
        lock (_lock)
        {
            return [.. _devices.Values];
        }
    }

    private async Task ForgetAsync((string Kind, string Id) key, BackEndDriver driver)
    {
        await driver.Ended.ConfigureAwait(false);
        lock (_lock)
        {
            _devices.Remove(key);
        }

        Ended?.Invoke(key.Kind, key.Id);
    }
}
