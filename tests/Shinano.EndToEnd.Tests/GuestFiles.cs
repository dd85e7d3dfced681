using Shinano.Control.GuestPackages;

namespace Shinano.EndToEnd.Tests;

/// <summary>The quickstart's kernel and ramdisk.</summary>
public sealed class GuestFiles : GuestFixture
{
    public string Kernel => Guest.KernelPath;

    public string Ramdisk => Guest.RamdiskPath;

    protected override Task<QuickstartGuest> PrepareAsync(GuestPackageCache cache) => QuickstartGuest.PrepareAsync(cache);
}
