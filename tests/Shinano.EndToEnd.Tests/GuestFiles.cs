using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.EndToEnd.Tests;

/// <summary>The quickstart's kernel and ramdisk, fetched once into the user's cache; a test without them is skipped.</summary>
public sealed class GuestFiles : IAsyncLifetime
{
    private QuickstartGuest? _guest;
    private string? _missing;

    public string Kernel => Guest.KernelPath;

    public string Ramdisk => Guest.RamdiskPath;

    /// <summary>Lines of a configuration that boots the quickstart's guest.</summary>
    public string Boot => $"kernel = \"{Kernel}\"\nramdisk = \"{Ramdisk}\"\nextra = \"console=hvc0 quiet\"";

    private QuickstartGuest Guest
    {
        get
        {
            Assert.SkipWhen(_guest is null, _missing ?? "not prepared");
            return _guest;
        }
    }

    public async ValueTask InitializeAsync()
    {
        try
        {
            _guest = await QuickstartGuest.PrepareAsync(new GuestPackageCache(ShinanoPaths.Current.CacheDirectory));
        }
        catch (GuestPackageUnavailableException e)
        {
            _missing = e.Message;
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
