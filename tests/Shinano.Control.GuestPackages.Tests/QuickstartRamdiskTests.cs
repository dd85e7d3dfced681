using System.IO.Compression;
using System.Text;

namespace Shinano.Control.GuestPackages.Tests;

public sealed class QuickstartRamdiskTests
{
    [Fact]
    public void TheSameInputGivesTheSameBytes() => Assert.Equal(Sample().Build(), Sample().Build());

    [Fact]
    public void ItHoldsWhatInitNeeds()
    {
        var entries = Read(Sample());
        Assert.Equal("bin/busybox", Encoding.ASCII.GetString(entries["init"].Content));
        Assert.Equal(0x81ed, entries["bin/busybox"].Mode);
        Assert.Equal("/bin/busybox", Encoding.ASCII.GetString(entries["sbin/poweroff"].Content));
        Assert.Equal(0x81ed, entries["etc/init.d/rcS"].Mode);
        Assert.Equal(0x81ed, entries["etc/init.d/console"].Mode);
        Assert.Equal(0x81a4, entries["etc/inittab"].Mode);
        Assert.Equal((5, 1), entries["dev/console"].Device);
        Assert.Equal("/lib/modules/6.1/kernel/a.ko\n/lib/modules/6.1/kernel/b.ko\n", Encoding.ASCII.GetString(entries["etc/modules"].Content));
        Assert.Equal([1, 2], entries["lib/modules/6.1/kernel/a.ko"].Content);
        Assert.Equal(0x81ed, entries["opt/tool"].Mode);
        Assert.DoesNotContain("etc/shinano/run", entries.Keys);
    }

    [Fact]
    public void EveryProgramThatInittabStartsIsThere()
    {
        var entries = Read(Sample());
        var programs = Encoding.ASCII.GetString(entries["etc/inittab"].Content).Split('\n')
            .Where(line => line.Length > 0 && line[0] != '#')
            .Select(line => line.Split(':')[3].Split(' ')[0].TrimStart('/'));
        Assert.All(programs, program => Assert.Contains(program, entries.Keys));
    }

    [Fact]
    public void ARunScriptTakesThePlaceOfTheConsole()
    {
        var ramdisk = new QuickstartRamdisk { Busybox = new byte[] { 1 }, RunScript = "echo hi" };
        var run = Read(ramdisk)["etc/shinano/run"];
        Assert.Equal("#!/bin/sh\necho hi\n", Encoding.ASCII.GetString(run.Content));
        Assert.Equal(0x81ed, run.Mode);
    }

    [Fact]
    public void ScriptsAreWrittenWithUnixLineEnds() =>
        Assert.All(
            Read(Sample()).Where(entry => entry.Key.StartsWith("etc/", StringComparison.Ordinal)),
            entry => Assert.DoesNotContain((byte)'\r', entry.Value.Content));

    private static QuickstartRamdisk Sample() => new()
    {
        Busybox = new byte[] { 0x7f, 1, 2, 3 },
        Applets = ["bin/sh", "bin/mount", "sbin/poweroff", "sbin/reboot", "bin/busybox"],
        Modules =
        [
            new KernelModule("a", "lib/modules/6.1/kernel/a.ko", new byte[] { 1, 2 }),
            new KernelModule("b", "lib/modules/6.1/kernel/b.ko", new byte[] { 3 }),
        ],
        ExtraFiles = [new RamdiskFile("/opt/tool", new byte[] { 9 }, Executable: true)],
    };

    private static Dictionary<string, (byte[] Content, int Mode, (int, int) Device)> Read(QuickstartRamdisk ramdisk)
    {
        using var gzip = new GZipStream(new MemoryStream(ramdisk.Build()), CompressionMode.Decompress);
        using var plain = new MemoryStream();
        gzip.CopyTo(plain);
        return CpioWriterTests.Entries(plain.ToArray()).ToDictionary(entry => entry.Name, entry => (entry.Content, entry.Mode, entry.Device));
    }
}
