using System.Security.Cryptography;

namespace Shinano.Control.GuestPackages;

/// <summary>The files of a guest that starts with nothing but Debian's packages: kernel and ramdisk, made in the cache.</summary>
/// <param name="KernelPath">Absolute path of the bzImage.</param>
/// <param name="RamdiskPath">Absolute path of the ramdisk.</param>
/// <param name="Release">What uname -r prints in the guest.</param>
public sealed record QuickstartGuest(string KernelPath, string RamdiskPath, string Release)
{
    /// <summary>The smaller of Debian's two kernels: the quickstart's default.</summary>
    public const string CloudKernel = "linux-image-cloud-amd64";

    /// <summary>Debian's kernel for real machines.</summary>
    public const string GeneralKernel = "linux-image-amd64";

    /// <summary>
    /// The console of a PV domain, and no detours around what speculation on a real CPU gives away: generated code takes other branches than the guest's, so that they
    /// only cost time (docs/quirks.md).
    /// </summary>
    public const string CommandLine = "console=hvc0 mitigations=off";

    private const string BusyboxPackage = "busybox-static";

    /// <summary>Fetches what is missing and builds the ramdisk. With everything in the cache it neither waits nor uses the network.</summary>
    /// <param name="cache">Where packages come from and the ramdisk goes.</param>
    /// <param name="kernelPackage">A kernel package or metapackage.</param>
    /// <param name="extraFiles">Further files for the ramdisk.</param>
    /// <param name="runScript">See <see cref="QuickstartRamdisk.RunScript"/>.</param>
    /// <param name="modules">Further modules of the kernel to load, by name.</param>
    /// <param name="usesNetwork">Load the network's front end, and ask for an address.</param>
    /// <param name="progress">Told of each step of fetching.</param>
    /// <param name="cancellation">Ends fetching.</param>
    /// <exception cref="GuestPackageUnavailableException">Something is missing and cannot be fetched; the message says what to do.</exception>
    public static async Task<QuickstartGuest> PrepareAsync(
        GuestPackageCache cache,
        string kernelPackage = CloudKernel,
        IReadOnlyList<RamdiskFile>? extraFiles = null,
        string? runScript = null,
        IReadOnlyList<string>? modules = null,
        bool usesNetwork = false,
        IProgress<PackageProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        var kernel = DebianKernel.Open(await cache.GetAsync(kernelPackage, progress, cancellation).ConfigureAwait(false));
        var busybox = FindBusybox(await cache.GetAsync(BusyboxPackage, progress, cancellation).ConfigureAwait(false));
        var ramdisk = new QuickstartRamdisk
        {
            Busybox = await File.ReadAllBytesAsync(busybox, cancellation).ConfigureAwait(false),
            Applets = await ListAppletsAsync(cache, busybox, cancellation).ConfigureAwait(false),
            Modules = kernel.ResolveModules(["xenfs", .. usesNetwork ? (string[])["xen_netfront"] : [], .. modules ?? []]),
            ExtraFiles = extraFiles ?? [],
            RunScript = runScript,
            UsesNetwork = usesNetwork,
        };
        var path = await StoreAsync(cache, ramdisk.Build(), cancellation).ConfigureAwait(false);
        return new QuickstartGuest(kernel.ImagePath, path, kernel.Release);
    }

    /// <summary>The path of busybox in its package: /bin before Debian 13's merged /usr, /usr/bin since.</summary>
    public static string FindBusybox(GuestPackage package) =>
        new[] { "bin/busybox", "usr/bin/busybox" }
            .Select(path => Path.Combine(package.Directory, path))
            .FirstOrDefault(File.Exists)
        ?? throw new GuestPackageUnavailableException(
            package.Name, $"The package {package.Name} {package.Version} in {package.Directory} holds no busybox.");

    /// <summary>Empty when it cannot be run here (a cache on a noexec file system, say): the guest then makes its links itself.</summary>
    private static async Task<IReadOnlyList<string>> ListAppletsAsync(
        GuestPackageCache cache, string busybox, CancellationToken cancellation)
    {
        var result = await cache.Runner.RunAsync(busybox, ["--list-full"], cache.CacheDirectory, null, cancellation).ConfigureAwait(false);
        return result.Succeeded ? result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) : [];
    }

    /// <summary>Named by its content, so that guests that are starting keep theirs and equal ones share one.</summary>
    private static async Task<string> StoreAsync(GuestPackageCache cache, byte[] ramdisk, CancellationToken cancellation)
    {
        var directory = Directory.CreateDirectory(Path.Combine(cache.CacheDirectory, "ramdisks")).FullName;
        var path = Path.Combine(directory, $"{Convert.ToHexStringLower(SHA256.HashData(ramdisk))[..16]}.cpio.gz");
        if (!File.Exists(path))
        {
            var aside = $"{path}.{Guid.NewGuid():N}";
            await File.WriteAllBytesAsync(aside, ramdisk, cancellation).ConfigureAwait(false);
            File.Move(aside, path, overwrite: true);
        }

        return path;
    }
}
