using Shinano.Control.GuestPackages;

namespace Shinano.EndToEnd.Tests;

/// <summary>The quickstart's guest with Linux's front ends for disks and networks, and ext4.</summary>
public sealed class SaveGuestFiles : GuestFixture
{
    protected override async Task<QuickstartGuest> PrepareAsync(GuestPackageCache cache)
    {
        await UsePasstAsync(cache);
        return await QuickstartGuest.PrepareAsync(cache, modules: ["xen_netfront", "xen_blkfront", "crc32c_generic", "ext4"]);
    }
}
