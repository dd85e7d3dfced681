using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.EndToEnd.Tests;

/// <summary>The quickstart's guest with Debian's general kernel, which has a framebuffer console built in; a test without its packages is skipped.</summary>
public sealed class ScreenGuestFiles : IAsyncLifetime
{
    private QuickstartGuest? _guest;
    private string? _missing;

    /// <summary>Lines of a configuration that boots the guest with its shell on the screen.</summary>
    public string Boot
    {
        get
        {
            Assert.SkipWhen(_guest is null, _missing ?? "not prepared");
            return $"kernel = \"{_guest.KernelPath}\"\nramdisk = \"{_guest.RamdiskPath}\"\nextra = \"console=hvc0 console=tty0 quiet mitigations=off\"";
        }
    }

    public async ValueTask InitializeAsync()
    {
        try
        {
            _guest = await QuickstartGuest.PrepareAsync(new GuestPackageCache(ShinanoPaths.Current.CacheDirectory), QuickstartGuest.GeneralKernel);
        }
        catch (GuestPackageUnavailableException e)
        {
            _missing = e.Message;
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
