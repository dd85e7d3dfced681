using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Storage.Qcow2;
using Shinano.XenStore.Protocol;

namespace Shinano.Machine.Warm;

/// <summary>
/// Runs everything once that a domain process does before its guest runs, over a domain that nobody sees: what .NET compiles at its first use is compiled then. The domain is
/// built, copied, and the copy runs until it powers itself off.
/// </summary>
internal static class WarmUp
{
    private const long MemoryBytes = 8 << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <param name="directory">An empty directory for sockets, and this alone.</param>
    public static async Task RunAsync(string directory)
    {
        string kernel = Path.Combine(directory, "kernel");
        await File.WriteAllBytesAsync(kernel, TinyKernel.Build()).ConfigureAwait(false);
        ForkOffer offer = new(Path.Combine(directory, "fork"), RelayToken.Create().ToText());
        await using (WarmUpDomain first = new(SpecOf(directory, "a", kernel)))
        {
            DomainBuildResult built = await first.BuildAsync().WaitAsync(Patience).ConfigureAwait(false);
            await first.Process.SuspendAsync(CancellationToken.None).WaitAsync(Patience).ConfigureAwait(false);
            await first.Process.OfferForkAsync(offer, CancellationToken.None).WaitAsync(Patience).ConfigureAwait(false);
            await using WarmUpDomain second = new(SpecOf(directory, "b", kernel) with { Fork = offer });
            _ = await second.BuildAsync().WaitAsync(Patience).ConfigureAwait(false);
            _ = await second.Process.GetStatusAsync(CancellationToken.None).WaitAsync(Patience).ConfigureAwait(false);
            using CancellationTokenSource enough = new();
            Task attached = second.Process.AttachDeviceAsync(DiskOf(directory), enough.Token);
            await second.Process.UnpauseAsync(CancellationToken.None).WaitAsync(Patience).ConfigureAwait(false);
            await second.HasShutDown.WaitAsync(Patience).ConfigureAwait(false);

            // There is no xenstore that the disk could come up with.
            await enough.CancelAsync().ConfigureAwait(false);
            await attached.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        // What was needed for that is not the next domain's to keep.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
    }

    private static DiskDeviceSpec DiskOf(string directory)
    {
        string image = Path.Combine(directory, "image");
        Qcow2Format.Create(image, 1 << 20);
        return new DiskDeviceSpec { Id = "51712", VirtualDevice = "xvda", Path = image, Format = DiskImageFormat.Qcow2 };
    }

    private static DomainSpec SpecOf(string directory, string name, string kernel) => new()
    {
        DomainId = 1,
        Uuid = Guid.NewGuid(),
        Name = name,
        MemoryBytes = MemoryBytes,
        MaxMemoryBytes = MemoryBytes,
        Vcpus = 1,
        MaxVcpus = 1,
        KernelPath = kernel,
        ControlSocketPath = Path.Combine(directory, $"{name}.control"),
        XenStoreRelaySocketPath = Path.Combine(directory, "nobody"),
        XenStoreToken = RelayToken.Create().ToText(),
        Console = new ConsoleSpec { SocketPath = Path.Combine(directory, $"{name}.console") },
        LogDirectory = directory,
        FailurePath = Path.Combine(directory, "failure"),
    };
}
