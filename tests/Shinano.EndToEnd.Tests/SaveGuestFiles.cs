using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.EndToEnd.Tests;

/// <summary>The quickstart's guest with Linux's front ends for disks and networks, and ext4; a test without its packages is skipped.</summary>
public sealed class SaveGuestFiles : IAsyncLifetime
{
    private QuickstartGuest? _guest;
    private string? _missing;

    /// <summary>Lines of a configuration that boots the guest.</summary>
    public string Boot
    {
        get
        {
            Assert.SkipWhen(_guest is null, _missing ?? "not prepared");
            return $"kernel = \"{_guest.KernelPath}\"\nramdisk = \"{_guest.RamdiskPath}\"\nextra = \"console=hvc0 quiet\"";
        }
    }

    public async ValueTask InitializeAsync()
    {
        try
        {
            GuestPackageCache cache = new(ShinanoPaths.Current.CacheDirectory);
            GuestPackage passt = await cache.GetAsync("passt");

            // Homes of tests have caches of their own.
            Environment.SetEnvironmentVariable("SHINANO_PASST", Path.Combine(passt.Directory, "usr/bin/passt"));
            _guest = await QuickstartGuest.PrepareAsync(
                cache,
                modules: ["xen_netfront", "xen_blkfront", "crc32c_generic", "ext4"]);
        }
        catch (GuestPackageUnavailableException e)
        {
            _missing = e.Message;
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
