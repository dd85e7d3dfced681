using System.Diagnostics;
using Shinano.Linux;

namespace Shinano.Control.GuestPackages.Tests;

/// <summary>Debian's real packages, from the cache that the quickstart uses; fetched when they are not there.</summary>
public sealed class RealPackageTests(ITestOutputHelper output)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static GuestPackageCache Cache => new(ShinanoPaths.Current.CacheDirectory);

    [Theory]
    [InlineData(QuickstartGuest.CloudKernel)]
    [InlineData(QuickstartGuest.GeneralKernel)]
    public async Task AQuickstartGuestIsPrepared(string kernel)
    {
        var clock = Stopwatch.StartNew();
        QuickstartGuest guest;
        try
        {
            guest = await QuickstartGuest.PrepareAsync(Cache, kernel, progress: new Printer(output), cancellation: Cancellation);
        }
        catch (GuestPackageUnavailableException missing)
        {
            Assert.Skip(missing.Message);
            return;
        }

        output.WriteLine($"{guest} in {clock.ElapsedMilliseconds} ms");
        Assert.EndsWith(guest.Release, guest.KernelPath, StringComparison.Ordinal);
        Assert.True(new FileInfo(guest.RamdiskPath).Length > 500_000);
        var again = await QuickstartGuest.PrepareAsync(Cache, kernel, cancellation: Cancellation);
        Assert.Equal(guest, again);
    }

    [Fact]
    public async Task BusyboxUnpacksTheRamdiskAndAcceptsItsScripts()
    {
        GuestPackage package;
        try
        {
            package = await Cache.GetAsync("busybox-static", cancellation: Cancellation);
        }
        catch (GuestPackageUnavailableException missing)
        {
            Assert.Skip(missing.Message);
            return;
        }

        using var temporary = new TemporaryDirectory();
        var busybox = QuickstartGuest.FindBusybox(package);
        var ramdisk = new QuickstartRamdisk { Busybox = await File.ReadAllBytesAsync(busybox, Cancellation), RunScript = "true" };
        await File.WriteAllBytesAsync(temporary.Combine("r.cpio.gz"), ramdisk.Build(), Cancellation);
        var runner = new Apt.ProgramRunner();
        var unpacked = await runner.RunAsync(
            busybox, ["sh", "-c", $"'{busybox}' gunzip -c r.cpio.gz | '{busybox}' cpio -idm 'etc/*' 'bin/*' init"], temporary.Path, null, Cancellation);
        Assert.True(unpacked.Succeeded, unpacked.Error);
        foreach (var script in (string[])["etc/init.d/rcS", "etc/init.d/console", "etc/profile", "etc/shinano/run"])
        {
            var checkedScript = await runner.RunAsync(
                temporary.Combine("bin", "busybox"), ["sh", "-n", script], temporary.Path, null, Cancellation);
            Assert.True(checkedScript.Succeeded, $"{script}: {checkedScript.Error}");
        }
    }

    private sealed class Printer(ITestOutputHelper output) : IProgress<PackageProgress>
    {
        public void Report(PackageProgress value) => output.WriteLine(value.ToString());
    }
}
