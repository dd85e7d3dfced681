namespace Shinano.Control.GuestPackages;

/// <summary>GRUB built as a kernel of a paravirtual domain, from Debian's package.</summary>
/// <param name="ImagePath">Absolute path of the 64-bit image.</param>
public sealed record PvGrub(string ImagePath)
{
    /// <summary>The package that has it.</summary>
    public const string PackageName = "grub-xen-host";

    /// <summary>Fetches it when it is not in the cache.</summary>
    /// <exception cref="GuestPackageUnavailableException">It cannot be fetched; the message says what to do.</exception>
    public static async Task<PvGrub> PrepareAsync(
        GuestPackageCache cache, IProgress<PackageProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(cache);
        GuestPackage package = await cache.GetAsync(PackageName, progress, cancellation).ConfigureAwait(false);
        string image = Path.Combine(package.Directory, "usr/lib/grub-xen/grub-x86_64-xen.bin");
        return File.Exists(image)
            ? new PvGrub(image)
            : throw new GuestPackageUnavailableException(
                PackageName, $"The package {package.Name} {package.Version} in {package.Directory} holds no usr/lib/grub-xen/grub-x86_64-xen.bin.");
    }
}
