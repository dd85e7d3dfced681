using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.EndToEnd.Tests;

/// <summary>A guest made of Debian's packages, fetched once into the user's cache; a test without them is skipped.</summary>
public abstract class GuestFixture : IAsyncLifetime
{
    private QuickstartGuest? _guest;
    private string? _missing;

    /// <summary>Lines of a configuration that boots the guest.</summary>
    public virtual string Boot => $"kernel = \"{Guest.KernelPath}\"\nramdisk = \"{Guest.RamdiskPath}\"\nextra = \"{Arguments}\"";

    /// <summary>The kernel's command line.</summary>
    protected virtual string Arguments => "console=hvc0 quiet";

    protected QuickstartGuest Guest
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
            _guest = await PrepareAsync(new GuestPackageCache(ShinanoPaths.Current.CacheDirectory));
        }
        catch (GuestPackageUnavailableException e)
        {
            _missing = e.Message;
        }
    }

    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    protected abstract Task<QuickstartGuest> PrepareAsync(GuestPackageCache cache);

    /// <summary>Has passt at hand for user-mode networks: homes of tests have caches of their own.</summary>
    protected static async Task UsePasstAsync(GuestPackageCache cache)
    {
        GuestPackage passt = await cache.GetAsync("passt");
        Environment.SetEnvironmentVariable("SHINANO_PASST", Path.Combine(passt.Directory, "usr/bin/passt"));
    }
}
