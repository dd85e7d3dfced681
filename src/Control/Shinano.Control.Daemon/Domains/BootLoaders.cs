using Shinano.Control.Api.Domains;
using Shinano.Control.Configuration;
using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Domains;

/// <summary>Finds the image that stands in for a kernel when the guest's own disk has that. Nothing of the disk is read here.</summary>
internal sealed class BootLoaders(ShinanoPaths paths)
{
    private readonly GuestPackageCache _cache = new(paths.CacheDirectory);

    /// <summary>The configuration with a kernel of the host.</summary>
    /// <exception cref="DomainFailureException">The boot loader cannot be had.</exception>
    public async Task<DomainConfiguration> ResolveAsync(
        DomainConfiguration configuration, Action<BuildProgress>? progress, CancellationToken cancellationToken)
    {
        if (configuration.BootLoader != BootLoader.PvGrub)
        {
            return configuration;
        }

        try
        {
            PvGrub grub = await PvGrub.PrepareAsync(_cache, new PackageSteps(progress), cancellationToken);
            return configuration with { Kernel = grub.ImagePath };
        }
        catch (GuestPackageUnavailableException e)
        {
            throw new DomainFailureException(DomainFailureCode.KernelUnreadable, $"bootloader: {e.Message}", e);
        }
    }

    private sealed class PackageSteps(Action<BuildProgress>? progress) : IProgress<PackageProgress>
    {
        public void Report(PackageProgress value) =>
            progress?.Invoke(new BuildProgress("bootloader", $"{value.Package}: {value.Stage.ToString().ToLowerInvariant()}", 0));
    }
}
