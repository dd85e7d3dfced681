using System.Text;

namespace Shinano.Control.GuestPackages.Tests;

public sealed class DebianKernelTests : IDisposable
{
    private readonly TemporaryDirectory temporary = new();

    public void Dispose() => temporary.Dispose();

    [Fact]
    public void ModulesComeAfterThoseTheyDependOn()
    {
        Module("fs/top.ko", "mid-one,base");
        Module("lib/mid-one.ko", "base");
        Module("lib/base.ko", "");
        var modules = Open().ResolveModules("top", "base");
        Assert.Equal(["base", "mid_one", "top"], modules.Select(module => module.Name));
        Assert.Equal("lib/modules/6.1-test/kernel/lib/mid-one.ko", modules[1].GuestPath);
    }

    [Fact]
    public void WhatIsBuiltInNeedsNoModule()
    {
        Module("a.ko", "xenfs");
        File.WriteAllText(temporary.Combine("lib", "modules", "6.1-test", "modules.builtin"), "kernel/drivers/xen/xenfs.ko\n");
        Assert.Equal(["a"], Open().ResolveModules("xenfs", "a").Select(module => module.Name));
    }

    [Fact]
    public void ACircleOfDependenciesEnds()
    {
        Module("a.ko", "b");
        Module("b.ko", "a");
        Assert.Equal(2, Open().ResolveModules("a").Count);
    }

    [Fact]
    public void AMissingModuleIsNamed()
    {
        Module("a.ko", "ghost");
        var failure = Assert.Throws<GuestPackageUnavailableException>(() => Open().ResolveModules("a"));
        Assert.Contains("'ghost'", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void APackageWithoutAKernelIsNamed() => Assert.Throws<GuestPackageUnavailableException>(
        () => DebianKernel.Open(new GuestPackage("busybox-static", "1", temporary.Path)));

    private DebianKernel Open()
    {
        Directory.CreateDirectory(temporary.Combine("boot"));
        File.WriteAllText(temporary.Combine("boot", "vmlinuz-6.1-test"), "");
        return DebianKernel.Open(new GuestPackage("linux-image-6.1-test", "6.1", temporary.Path));
    }

    private void Module(string path, string depends)
    {
        var file = temporary.Combine("lib", "modules", "6.1-test", "kernel", path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllBytes(file, Encoding.ASCII.GetBytes($"ELF\0license=GPL\0depends={depends}\0name=x\0"));
    }
}
