using System.IO.Compression;
using System.Reflection;
using System.Text;
using Shinano.Control.GuestPackages.Ramdisk;

namespace Shinano.Control.GuestPackages;

/// <summary>
/// Builds the ramdisk of the quickstart's guest: Debian's busybox, a few kernel modules and a shell on the console. Pure: the
/// same input gives the same bytes. What runs in the guest is in Ramdisk/root.
/// </summary>
public sealed class QuickstartRamdisk
{
    private const string ResourcePrefix = "ramdisk/";

    /// <summary>The statically linked busybox (package busybox-static).</summary>
    public required ReadOnlyMemory<byte> Busybox { get; init; }

    /// <summary>
    /// Paths of busybox's applets relative to "/", as "busybox --list-full" prints them. Empty: the guest makes the links at its start.
    /// </summary>
    public IReadOnlyList<string> Applets { get; init; } = [];

    /// <summary>Loaded in this order, with the options that the kernel's command line has for them (<c>xen_blkfront.max_queues=1</c>), as modprobe takes them.</summary>
    public IReadOnlyList<KernelModule> Modules { get; init; } = [];

    /// <summary>Further files, such as test programs.</summary>
    public IReadOnlyList<RamdiskFile> ExtraFiles { get; init; } = [];

    /// <summary>
    /// A shell script to run instead of the console. Its output goes to the console; afterwards the guest prints
    /// "SHINANO RUN ENDED n" with the script's exit code and powers off.
    /// </summary>
    public string? RunScript { get; init; }

    /// <summary>Ask for an address of the first network interface by DHCP, in the background.</summary>
    public bool UsesNetwork { get; init; }

    /// <summary>Printed before the first prompt.</summary>
    public string Banner { get; init; } =
        """

        This is a Xen PV domain of Shinano, with Debian's kernel and busybox. It lives in memory only.
        Try: uname -a; dmesg | grep -i xen; ls /proc/xen /sys/hypervisor. To end it: exit, or poweroff.

        """;

    /// <summary>The cpio archive, compressed with gzip.</summary>
    public byte[] Build()
    {
        using var packed = new MemoryStream();

        // Level "fastest": the guest's kernel inflates it on an emulated CPU; size matters little, and the time is the same.
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            gzip.Write(BuildArchive());
        }

        return packed.ToArray();
    }

    internal byte[] BuildArchive()
    {
        var cpio = new CpioWriter();
        foreach (var directory in (string[])["bin", "dev", "etc", "proc", "root", "run", "sbin", "sys", "tmp", "usr/bin", "usr/sbin", "var"])
        {
            cpio.AddDirectory(directory);
        }

        // init's own output needs these before devtmpfs is there (Documentation/admin-guide/devices.txt).
        cpio.AddCharacterDevice("dev/console", 5, 1, 0x180);
        cpio.AddCharacterDevice("dev/null", 1, 3, 0x1b6);
        cpio.AddFile("bin/busybox", Busybox.Span, CpioWriter.ExecutableMode);
        cpio.AddSymbolicLink("init", "bin/busybox");
        foreach (var applet in Applets.Where(applet => !cpio.Contains(applet)))
        {
            cpio.AddSymbolicLink(applet, "/bin/busybox");
        }

        AddOwnFiles(cpio);
        cpio.AddFile("sbin/reseed", ReseedProgram.Build(), CpioWriter.ExecutableMode);
        cpio.AddFile("etc/motd", Encoding.UTF8.GetBytes(Banner));
        cpio.AddFile("etc/modules", Encoding.UTF8.GetBytes(string.Concat(Modules.Select(module => $"/{module.GuestPath}\n"))));
        foreach (var module in Modules)
        {
            cpio.AddFile(module.GuestPath, module.Content.Span);
        }

        foreach (var file in ExtraFiles)
        {
            cpio.AddFile(file.Path, file.Content.Span, file.Executable ? CpioWriter.ExecutableMode : CpioWriter.ReadableMode);
        }

        if (UsesNetwork)
        {
            cpio.AddFile("etc/shinano/network", []);
        }

        if (RunScript is { } script)
        {
            cpio.AddFile("etc/shinano/run", Encoding.UTF8.GetBytes("#!/bin/sh\n" + script + "\n"), CpioWriter.ExecutableMode);
        }

        return cpio.ToArray();
    }

    private static void AddOwnFiles(CpioWriter cpio)
    {
        var assembly = Assembly.GetExecutingAssembly();
        foreach (var name in assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith(ResourcePrefix, StringComparison.Ordinal))
            .Order(StringComparer.Ordinal))
        {
            using var stream = assembly.GetManifestResourceStream(name)!;
            var content = new byte[stream.Length];
            stream.ReadExactly(content);
            var path = name[ResourcePrefix.Length..];
            cpio.AddFile(path, content, path.Contains("init.d/", StringComparison.Ordinal) || path.EndsWith(".script", StringComparison.Ordinal) ? CpioWriter.ExecutableMode : CpioWriter.ReadableMode);
        }
    }
}
