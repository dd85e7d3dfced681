using Shinano.Control.GuestPackages;

namespace Shinano.EndToEnd.Tests;

/// <summary>The quickstart's guest with Linux's network front end, and passt.</summary>
public sealed class NetworkGuestFiles : GuestFixture
{
    public override string Boot => $"{base.Boot}\nmemory = 192";

    protected override async Task<QuickstartGuest> PrepareAsync(GuestPackageCache cache)
    {
        await UsePasstAsync(cache);
        return await QuickstartGuest.PrepareAsync(cache, modules: ["xen_netfront"]);
    }
}
