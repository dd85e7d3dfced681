namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>
/// One device of a kind, e.g. a disk: what <see cref="BackEndDriver"/> drives through the states of xenbus. Calls come one at a time, in the order
/// prepare, connect, disconnect, prepare, ..., and never on a vCPU's thread.
/// </summary>
public interface IBackEndDevice : IAsyncDisposable
{
    /// <summary>"vbd", "vif", "vfb", "vkbd", "console": the directory's name in xenstore.</summary>
    string Kind { get; }

    /// <summary>The device's number as its directory in xenstore is called, e.g. "51712".</summary>
    string Id { get; }

    /// <summary>Publishes what the back end can do, before it goes to <see cref="XenbusState.InitWait"/>. Again before each reconnection.</summary>
    /// <exception cref="BackEndException">The device is not to be had.</exception>
    Task PrepareAsync(BackEndNodes nodes, CancellationToken cancellation);

    /// <summary>
    /// Reads the front end's nodes, maps its rings, binds its ports, starts to serve them, and publishes what the front end waits for;
    /// <see cref="XenbusState.Connected"/> follows. Whatever was taken is given back when it throws.
    /// </summary>
    /// <exception cref="BackEndException">The front end's nodes make no sense.</exception>
    Task ConnectAsync(BackEndNodes nodes, IFrontEndDomain guest, CancellationToken cancellation);

    /// <summary>
    /// Stops to serve: waits for what is under way, then closes ports and unmaps pages. Nothing of the guest is touched when it completes. Does nothing when
    /// not connected; does not throw. Must not depend on xenstore or on the guest to complete.
    /// </summary>
    Task DisconnectAsync();

    /// <summary>
    /// As <see cref="DisconnectAsync"/>, but what the guest takes for mapped stays so for the next connection; <see cref="DisconnectAsync"/> gives that back, too.
    /// </summary>
    Task SuspendAsync() => DisconnectAsync();

    /// <summary>Gives up what of the host's only one may have, durably: a disk its image. The device is suspended.</summary>
    Task LetGoOfHostAsync() => Task.CompletedTask;

    /// <summary>Undoes <see cref="LetGoOfHostAsync"/>; does nothing when that was not called.</summary>
    /// <exception cref="IOException">It is not to be had now; the call may be made again.</exception>
    Task TakeUpHostAsync() => Task.CompletedTask;

    /// <summary>What a suspended device keeps mapped.</summary>
    IReadOnlyList<KeptGrants> DescribeKept() => [];

    /// <summary>What the device has counted since it was attached. Any thread.</summary>
    IReadOnlyList<DeviceCounter> ReadCounters();
}
