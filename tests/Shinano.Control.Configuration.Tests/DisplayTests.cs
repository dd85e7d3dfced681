using Shinano.Control.Configuration.Displays;

namespace Shinano.Control.Configuration.Tests;

public sealed class DisplayTests
{
    private const string Minimal = "name = \"one\"\nkernel = \"/boot/vmlinuz\"\n";

    [Theory]
    [InlineData("type=vnc", "127.0.0.1", 0, true, null)]
    [InlineData("vnc=1,vncdisplay=3,vncunused=0", "127.0.0.1", 3, false, null)]
    [InlineData(" type=vnc , vnclisten=0.0.0.0:7 , vncpasswd=secret ", "0.0.0.0", 7, true, "secret")]
    [InlineData("vnclisten=::1,vncpasswd=", "::1", 0, true, null)]
    [InlineData("vnclisten=[::1]:2,vncpasswd='a b'", "::1", 2, true, "a b")]
    [InlineData("sdl=0,opengl=0", "127.0.0.1", 0, true, null)]
    public void Entries_of_xm_and_xl_are_read(string text, string listen, int display, bool unused, string? password)
    {
        DisplayConfiguration? read = Read($"{Minimal}vfb = [ \"{text}\" ]\n").Configuration?.Display;
        Assert.Equal(new DisplayConfiguration { Listen = listen, Display = display, FindUnused = unused, Password = password }, read);
    }

    [Theory]
    [InlineData("vfb = [ 'type=vnc,vncdisplay=x' ]", "one.cfg:3:19: error: vncdisplay=x is no display: 0 to 59635")]
    [InlineData("vfb = [ 'type=sdl' ]", "one.cfg:3:10: error: type=sdl is not supported: only vnc is")]
    [InlineData("vfb = [ 'vnc=1,vnclisten=here' ]", "one.cfg:3:16: error: vnclisten=here is no address, such as 127.0.0.1 or 0.0.0.0:1")]
    [InlineData("vfb = [ 'vnclisten=0.0.0.0:99999' ]", "one.cfg:3:10: error: vnclisten's display=99999 is no display: 0 to 59635")]
    [InlineData("vfb = [ 'what' ]", "one.cfg:3:10: error: 'what' is no key=value")]
    [InlineData("vfb = [ 'vnc=2' ]", "one.cfg:3:10: error: vnc=2 is not 0 or 1")]
    [InlineData("vfb = [ 'vncpaswd=x' ]", "one.cfg:3:10: error: 'vncpaswd' is no key of vfb: vnc, vnclisten, vncdisplay, vncunused, vncpasswd")]
    [InlineData("vfb = [ 'vnc=1', 'vnc=1' ]", "one.cfg:3:18: error: a domain has one vfb at most")]
    [InlineData("vfb = [ 7 ]", "one.cfg:3:9: error: an entry of vfb must be a string in quotes, not a number")]
    public void Mistakes_are_named_where_they_are(string line, string message) =>
        Assert.Contains(Read(Minimal + line + "\n").Diagnostics, diagnostic => diagnostic.ToString() == message);

    [Fact]
    public void A_long_password_is_a_warning() => Assert.Contains(
        Read(Minimal + "vfb = [ 'vncpasswd=123456789' ]\n").Diagnostics,
        diagnostic => diagnostic.Severity == DiagnosticSeverity.Warning && diagnostic.ToString().Contains("first 8", StringComparison.Ordinal));

    [Theory]
    [InlineData("pvgrub")]
    [InlineData("pygrub")]
    [InlineData("/usr/lib/xen/bin/pygrub")]
    public void A_boot_loader_takes_the_kernels_place(string name)
    {
        DomainConfiguration? read = Read($"name = \"one\"\nbootloader = \"{name}\"\ndisk = [ 'file:/a,xvda,w' ]\n").Configuration;
        Assert.Equal((BootLoader.PvGrub, ""), (read?.BootLoader, read?.Kernel));
    }

    [Fact]
    public void Another_boot_loader_is_an_error() => Assert.Contains(
        Read("name = \"one\"\nbootloader = \"lilo\"\n").Diagnostics,
        diagnostic => diagnostic.ToString() == "one.cfg:2:1: error: bootloader=\"lilo\" is not one of pvgrub, pygrub");

    [Fact]
    public void A_kernel_of_the_host_goes_before_a_boot_loader()
    {
        ConfigurationResult result = Read(Minimal + "bootloader = \"pygrub\"\n");
        Assert.Equal((BootLoader.None, "/boot/vmlinuz"), (result.Configuration?.BootLoader, result.Configuration?.Kernel));
        Assert.Single(result.Diagnostics);
    }

    [Fact]
    public void Random_entries_are_displays_or_problems()
    {
        int seed = Environment.TickCount;
        Random random = new(seed);
        const string pieces = "vnc=,listenpasswddisplayunused0123456789.:[]'\" \u00e9";
        for (int i = 0; i < 20_000; i++)
        {
            string text = new([.. Enumerable.Range(0, random.Next(60)).Select(_ => pieces[random.Next(pieces.Length)])]);
            (DisplayConfiguration? display, string? problem, int at, _) = DisplayString.Read(text);
            Assert.True(display is null != problem is null && at >= 0 && at <= text.Length, $"seed {seed}: {text}");
        }
    }

    private static ConfigurationResult Read(string text) => ConfigurationReader.Read(new ConfigurationText("one.cfg", text, []), strict: false);
}
