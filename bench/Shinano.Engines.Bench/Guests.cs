using System.Diagnostics;

namespace Shinano.Engines.Bench;

/// <summary>Starts guests: the same kernel, ramdisk, memory and vCPUs, under QEMU or in a process of Shinano.</summary>
/// <param name="files">What they run.</param>
/// <param name="machine">Shinano.Machine.dll.</param>
/// <param name="limit">For the boot and for each group.</param>
internal sealed class Guests(GuestFiles files, string machine, TimeSpan limit)
{
    /// <summary>Of each guest.</summary>
    public const int MemoryMegabytes = 256;

    private const string Qemu = "qemu-system-x86_64";

    /// <summary>Why a column cannot be had here, or null.</summary>
    public async Task<string?> WhyNotAsync(Column column, CancellationToken cancellation) => column switch
    {
        Column.Native => null,
        Column.Tcg => FindInPath(Qemu) is null ? "there is no qemu-system-x86_64: apt-get install qemu-system-x86" : null,
        _ => await WhyNoEngineAsync(EngineName(column), cancellation).ConfigureAwait(false),
    };

    /// <summary>Boots a guest, or gives the host for <see cref="Column.Native"/>.</summary>
    public async Task<ITarget> StartAsync(Column column, int vcpus, CancellationToken cancellation)
    {
        if (column == Column.Native)
        {
            return new NativeTarget(files, limit);
        }

        ProcessStartInfo start = column == Column.Tcg ? QemuStart(vcpus) : MachineStart(column, vcpus);
        return await ConsoleGuest.StartAsync(column, NameOf(column), start, (long)MemoryMegabytes << 20, limit, cancellation).ConfigureAwait(false);
    }

    /// <summary>Heading of the table.</summary>
    public static string NameOf(Column column) => column switch
    {
        Column.Native => "native",
        Column.Tcg => "TCG",
        _ => EngineName(column),
    };

    /// <summary>As in a domain's configuration: cpu_engine.</summary>
    public static string EngineName(Column column) => column == Column.Translator ? "translator" : "interpreter";

    /// <summary>The kernel's command line; the consoles differ by nature.</summary>
    public static string CommandLine(string console) => $"console={console} quiet panic=-1 mitigations=off";

    private ProcessStartInfo QemuStart(int vcpus) => new(
        Qemu,
        [
            "-accel", "tcg", "-cpu", "max", "-smp", $"{vcpus}", "-m", $"{MemoryMegabytes}", "-kernel", files.Kernel, "-initrd", files.Ramdisk,
            "-append", CommandLine("ttyS0"), "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
        ]);

    private ProcessStartInfo MachineStart(Column column, int vcpus) => new(
        "dotnet",
        [
            machine, "run", "--engine", EngineName(column), "--vcpus", $"{vcpus}", "--memory", $"{MemoryMegabytes}M", "--kernel", files.Kernel,
            "--ramdisk", files.Ramdisk, "--cmdline", CommandLine("hvc0"),
        ]);

    /// <summary>Asks the machine itself: it looks at the engine's name before it reads the kernel, so an empty kernel is enough.</summary>
    private async Task<string?> WhyNoEngineAsync(string engine, CancellationToken cancellation)
    {
        ProcessStartInfo start = new("dotnet", [machine, "run", "--engine", engine, "--kernel", "/dev/null"]) { RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        string error = await process.StandardError.ReadToEndAsync(cancellation).ConfigureAwait(false);
        await process.WaitForExitAsync(cancellation).ConfigureAwait(false);
        return error.Contains("cpu_engine", StringComparison.Ordinal) ? error.Trim() : null;
    }

    private static string? FindInPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(directory => Path.Combine(directory, program)).FirstOrDefault(File.Exists);
}
