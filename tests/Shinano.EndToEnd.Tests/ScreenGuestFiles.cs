using Shinano.Control.GuestPackages;

namespace Shinano.EndToEnd.Tests;

/// <summary>The quickstart's guest with Debian's general kernel, which has a framebuffer console built in.</summary>
public sealed class ScreenGuestFiles : GuestFixture
{
    /// <summary>The terminal is open, and takes keys, before it is said that it does.</summary>
    private const string Script = "exec </dev/tty1 >/dev/tty1 2>&1\necho screen-ready >/dev/hvc0\nexec sh -i";

    private QuickstartGuest? _screen;

    /// <summary>The same with a shell on the screen, which says "screen-ready" to the other console.</summary>
    public string BootToScreen => Boot.Replace(Guest.RamdiskPath, _screen!.RamdiskPath, StringComparison.Ordinal);

    protected override string Arguments => $"{base.Arguments} mitigations=off";

    protected override async Task<QuickstartGuest> PrepareAsync(GuestPackageCache cache)
    {
        _screen = await QuickstartGuest.PrepareAsync(cache, QuickstartGuest.GeneralKernel, runScript: Script);
        return await QuickstartGuest.PrepareAsync(cache, QuickstartGuest.GeneralKernel);
    }
}
