using System.Diagnostics;
using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.EndToEnd.Tests;

/// <summary>PV GRUB boots a guest's own kernel from the guest's own ext4. It is Debian's general kernel: GRUB does not unpack the cloud kernel's lz4.</summary>
public sealed class PvGrubTests(ScreenGuestFiles files) : IClassFixture<ScreenGuestFiles>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_second_entry_of_the_menu_boots_with_a_changed_command_line()
    {
        Assert.SkipUnless(File.Exists("/usr/sbin/mke2fs"), "mke2fs (e2fsprogs) is not installed");
        GuestPackageCache cache = new(ShinanoPaths.Current.CacheDirectory);
        try
        {
            await PvGrub.PrepareAsync(cache, null, Cancellation);
        }
        catch (GuestPackageUnavailableException e)
        {
            Assert.Skip(e.Message);
        }

        await using Host host = Host.Create();
        Directory.CreateSymbolicLink(Path.Combine(host.Home, "cache"), cache.CacheDirectory);
        string image = Path.Combine(host.Home, "boot.img");
        await MakeDiskAsync(host, image);
        using Process xm = host.Start(
            "xm", ["create", "-c", host.Configuration("grub", $"memory = 256\nbootloader = \"pvgrub\"\ndisk = [ 'file:{image},xvda,w' ]")]);
        using Conversation console = new(xm);
        await console.UntilAsync("Second entry");

        // Down, edit; two lines down is the kernel's; its end; boot.
        await console.TypeAsync("\e[B");
        await console.TypeAsync("e");
        await console.UntilAsync("setparams");
        await console.TypeAsync("\x0e\x0e\x05 shinano.changed=42");
        await console.UntilAsync("changed=42");
        await console.TypeAsync("\x18");
        await console.UntilAsync("shinano:/root#");
        await console.TypeAsync("cat /proc/cmdline; sed 's/^/type=/' /sys/hypervisor/type; poweroff -f\n");
        string said = await console.UntilAsync("type=xen");
        Assert.Contains("shinano.entry=2", said, StringComparison.Ordinal);
        Assert.Contains("shinano.changed=42", said, StringComparison.Ordinal);
        Assert.Equal(0, await console.EndAsync());
    }

    private async Task MakeDiskAsync(Host host, string image)
    {
        string[] lines = files.Boot.Split('\n');
        string boot = Path.Combine(host.Home, "tree", "boot");
        Directory.CreateDirectory(Path.Combine(boot, "grub"));
        File.Copy(lines[0].Split('"')[1], Path.Combine(boot, "vmlinuz"));
        File.Copy(lines[1].Split('"')[1], Path.Combine(boot, "initrd"));
        await File.WriteAllTextAsync(
            Path.Combine(boot, "grub", "grub.cfg"),
            """
            set timeout=-1
            menuentry "First entry" {
              linux /boot/vmlinuz console=hvc0 quiet shinano.entry=1
              initrd /boot/initrd
            }
            menuentry "Second entry" {
              linux /boot/vmlinuz console=hvc0 quiet shinano.entry=2
              initrd /boot/initrd
            }
            """,
            Cancellation);
        using Process make = Process.Start("/usr/sbin/mke2fs", ["-q", "-t", "ext4", "-d", Path.Combine(host.Home, "tree"), image, "64M"]);
        await make.WaitForExitAsync(Cancellation);
        Assert.Equal(0, make.ExitCode);
        Directory.Delete(Path.Combine(host.Home, "tree"), recursive: true);
    }
}
