using System.Diagnostics;
using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.Hypervisor.Images.Tests;

/// <summary>Debian's own kernels, from the cache of the quickstart; fetched when they are not there.</summary>
public sealed class DebianKernelTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(QuickstartGuest.CloudKernel)]
    [InlineData(QuickstartGuest.GeneralKernel)]
    public async Task ADebianKernelHasThePvNotesOfLinux(string package)
    {
        DebianKernel kernel;
        try
        {
            var cache = new GuestPackageCache(ShinanoPaths.Current.CacheDirectory);
            kernel = DebianKernel.Open(await cache.GetAsync(package, cancellation: TestContext.Current.CancellationToken));
        }
        catch (GuestPackageUnavailableException missing)
        {
            Assert.Skip(missing.Message);
            return;
        }

        var path = kernel.ImagePath;
        var file = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        var clock = Stopwatch.StartNew();
        var result = KernelImageReader.ReadPv(file);
        output.WriteLine($"{path}: {clock.ElapsedMilliseconds} ms");
        Assert.True(result.Succeeded, result.Failure?.Message);
        var image = result.Image;
        output.WriteLine(
            $"{image.Compression}, {image.LinuxVersion}, {image.VirtualStart:x}-{image.VirtualEnd:x}, entry {image.Entry:x}, ELF {image.Elf.Length} bytes");
        output.WriteLine(image.Notes.ToString());
        Assert.Equal(KernelContainer.BzImage, image.Container);
        Assert.Equal("linux", image.Notes.GuestOs);
        Assert.Equal(0xffffffff80000000, image.VirtualBase);
        Assert.Equal(0xffffffff81000000, image.VirtualStart);
        Assert.Equal(0x8000000000UL, image.InitialP2M);
        Assert.StartsWith(kernel.Release, image.LinuxVersion, StringComparison.Ordinal);
    }
}
