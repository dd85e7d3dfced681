using Shinano.Control.GuestPackages;

namespace Shinano.EndToEnd.Tests;

/// <summary>The quickstart's guest with Linux's block front end and ext4.</summary>
public sealed class DiskGuestFiles : GuestFixture
{
    protected override Task<QuickstartGuest> PrepareAsync(GuestPackageCache cache) =>
        QuickstartGuest.PrepareAsync(cache, modules: ["xen_blkfront", "crc32c_generic", "ext4"]);
}
