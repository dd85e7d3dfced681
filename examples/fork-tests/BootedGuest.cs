using Shinano.Control.Api.Xend;
using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.ForkExample.Tests;

/// <summary>A guest that is booted once for all tests: Debian's kernel and a shell. Each test takes a copy.</summary>
public sealed class BootedGuest : IAsyncLifetime
{
    private XendClient? _xend;
    private XendDomain? _domain;
    private string _missing = "the guest has not been booted";

    /// <summary>The guest, which no test changes.</summary>
    public XendDomain Domain
    {
        get
        {
            Assert.SkipWhen(_domain is null, _missing);
            return _domain;
        }
    }

    public async ValueTask InitializeAsync()
    {
        try
        {
            QuickstartGuest guest = await QuickstartGuest.PrepareAsync(new GuestPackageCache(ShinanoPaths.Current.CacheDirectory));
            _xend = await XendStarter.ConnectAsync(ShinanoPaths.Current);
            _domain = await XendDomain.CreateAsync(
                _xend,
                $"""
                name    = "booted-{Environment.ProcessId}"
                memory  = 192
                kernel  = "{guest.KernelPath}"
                ramdisk = "{guest.RamdiskPath}"
                extra   = "{QuickstartGuest.CommandLine} quiet"
                """);

            // Here a test suite prepares what all of its tests need: packages, services, data.
            using DomainConsole console = await _domain.OpenConsoleAsync();
            await console.RunAsync("mkdir /work && seq 1000 >/work/numbers");
        }
        catch (GuestPackageUnavailableException e)
        {
            _missing = e.Message;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_domain is not null)
        {
            await _domain.DisposeAsync();
        }

        _xend?.Dispose();
    }
}
