using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Linux;
using Shinano.Storage;
using Shinano.Storage.Pools;
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
    private const string DiskId = "51712";
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
            DomainSpec copy = SpecOf(directory, "b", kernel) with { Fork = offer };
            string specPath = Path.Combine(directory, "spec");
            DomainSpecFile.Write(specPath, copy);
            using RehearsalStore store = new(copy.XenStoreRelaySocketPath, FrontEndNodes(copy));
            await using WarmUpDomain second = new(DomainSpecFile.Read(specPath));
            _ = await second.BuildAsync().WaitAsync(Patience).ConfigureAwait(false);
            _ = await second.Process.GetStatusAsync(CancellationToken.None).WaitAsync(Patience).ConfigureAwait(false);
            await RehearseVolumesAsync(directory).ConfigureAwait(false);
            await second.Process.AttachDeviceAsync(DiskOf(directory), CancellationToken.None).WaitAsync(Patience).ConfigureAwait(false);
            await second.Process.UnpauseAsync(CancellationToken.None).WaitAsync(Patience).ConfigureAwait(false);
            await second.HasShutDown.WaitAsync(Patience).ConfigureAwait(false);
        }

        // What was needed for that is not the next domain's to keep.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
    }

    /// <summary>
    /// The disk as a guest left it that was copied, connected. Its ring is the page of the guest's xenstore, whose event channel is taken: the disk comes as far as that.
    /// </summary>
    private static Dictionary<string, string> FrontEndNodes(DomainSpec spec)
    {
        string back = string.Create(CultureInfo.InvariantCulture, $"/local/domain/0/backend/vbd/{spec.DomainId}/{DiskId}");
        string front = string.Create(CultureInfo.InvariantCulture, $"/local/domain/{spec.DomainId}/device/vbd/{DiskId}");
        return new()
        {
            [$"{back}/frontend"] = front,
            [$"{back}/online"] = "1",
            [$"{back}/state"] = "1",
            [$"{front}/state"] = "4",
            [$"{front}/protocol"] = "x86_64-abi",
            [$"{front}/feature-persistent"] = "1",
            [$"{front}/ring-ref"] = "1",
            [$"{front}/event-channel"] = "1",
        };
    }

    /// <summary>A volume that begins at another's snapshot, as a copy's does.</summary>
    private static async Task RehearseVolumesAsync(string directory)
    {
        VolumePools pools = new(ShinanoPaths.Under(Path.Combine(directory, "volumes")));
        VolumeName volume = VolumeName.Parse($"{VolumePools.DefaultPool}/a", "create");
        VolumeName snapshot = VolumeName.ParseSnapshot($"{volume}@b", "create");
        VolumeName clone = VolumeName.Parse($"{VolumePools.DefaultPool}/c", "create");
        DirectoryPool pool = pools.GetDirectoryPool(volume, "create");
        await pool.CreateAsync(volume, 1 << 20).ConfigureAwait(false);
        await pool.SnapshotAsync(snapshot).ConfigureAwait(false);
        await pool.CloneAsync(snapshot, clone).ConfigureAwait(false);
        IBlockImage image = await pools.OpenAsync(clone.ToString(), readOnly: false).ConfigureAwait(false);
        await image.DisposeAsync().ConfigureAwait(false);
    }

    private static DiskDeviceSpec DiskOf(string directory)
    {
        string image = Path.Combine(directory, "image");
        Qcow2Format.Create(image, 1 << 20);
        return new DiskDeviceSpec { Id = DiskId, VirtualDevice = "xvda", Path = image, Format = DiskImageFormat.Qcow2 };
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
        XenStoreRelaySocketPath = Path.Combine(directory, "store"),
        XenStoreToken = RelayToken.Create().ToText(),
        Console = new ConsoleSpec { SocketPath = Path.Combine(directory, $"{name}.console") },
        LogDirectory = directory,
        FailurePath = Path.Combine(directory, "failure"),
    };
}
