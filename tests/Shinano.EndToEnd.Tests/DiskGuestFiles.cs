using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.EndToEnd.Tests;

/// <summary>The quickstart's guest with Linux's block front end and ext4; a test without its packages is skipped.</summary>
public sealed class DiskGuestFiles : IAsyncLifetime
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
            _guest = await QuickstartGuest.PrepareAsync(
                new GuestPackageCache(ShinanoPaths.Current.CacheDirectory), modules: ["xen_blkfront", "crc32c_generic", "ext4"]);
        }
        catch (GuestPackageUnavailableException e)
        {
            _missing = e.Message;
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
