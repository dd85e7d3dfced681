using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.EndToEnd.Tests;

/// <summary>The quickstart's guest with Debian's general kernel, which has a framebuffer console built in; a test without its packages is skipped.</summary>
public sealed class ScreenGuestFiles : IAsyncLifetime
{
    /// <summary>The terminal is open, and takes keys, before it is said that it does.</summary>
    private const string Script = "exec </dev/tty1 >/dev/tty1 2>&1\necho screen-ready >/dev/hvc0\nexec sh -i";

    private QuickstartGuest? _guest;
    private QuickstartGuest? _screen;
    private string? _missing;

    /// <summary>Lines of a configuration that boots the guest.</summary>
    public string Boot
    {
        get
        {
            Assert.SkipWhen(_guest is null, _missing ?? "not prepared");
            return $"kernel = \"{_guest.KernelPath}\"\nramdisk = \"{_guest.RamdiskPath}\"\nextra = \"console=hvc0 quiet mitigations=off\"";
        }
    }

    /// <summary>The same with a shell on the screen, which says "screen-ready" to the other console.</summary>
    public string BootToScreen => _screen is null ? Boot : Boot.Replace(_guest!.RamdiskPath, _screen.RamdiskPath, StringComparison.Ordinal);

    public async ValueTask InitializeAsync()
    {
        try
        {
            _guest = await QuickstartGuest.PrepareAsync(new GuestPackageCache(ShinanoPaths.Current.CacheDirectory), QuickstartGuest.GeneralKernel);
            _screen = await QuickstartGuest.PrepareAsync(new GuestPackageCache(ShinanoPaths.Current.CacheDirectory), QuickstartGuest.GeneralKernel, runScript: Script);
        }
        catch (GuestPackageUnavailableException e)
        {
            _missing = e.Message;
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
