using System.Diagnostics;

namespace Shinano.Hypervisor.Images.Tests;

/// <summary>Debian's own kernels, when the guest-package cache (or this machine's /boot) has them.</summary>
public sealed class DebianKernelTests(ITestOutputHelper output)
{
    public static TheoryData<string> Kernels => new("cloud-amd64", "amd64");

    [Theory]
    [MemberData(nameof(Kernels))]
    public void ADebianKernelHasThePvNotesOfLinux(string flavour)
    {
        var path = Find(flavour);
        Assert.SkipWhen(path is null, $"no vmlinuz-*-{flavour} in the guest package cache; `bin/xm quickstart` fetches one");
        var file = File.ReadAllBytes(path);
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
        Assert.Contains(flavour, image.LinuxVersion, StringComparison.Ordinal);
    }

    private static string? Find(string flavour)
    {
        foreach (var directory in Directories().Where(Directory.Exists))
        {
            var found = Directory.EnumerateFiles(directory, $"vmlinuz-*-{flavour}")
                .FirstOrDefault(path => flavour != "amd64" || !path.Contains("cloud", StringComparison.Ordinal));
            if (found is not null)
            {
                return found;
            }
        }

        return null;
    }

    private static IEnumerable<string> Directories()
    {
        yield return Environment.GetEnvironmentVariable("SHINANO_TEST_KERNELS") ?? "/boot";
        yield return "/boot";
    }
}
