using System.ComponentModel;
using System.Diagnostics;
using Shinano.Control.GuestPackages;

namespace Shinano.Engines.Bench;

/// <summary>What all columns run: the guest program, Debian's kernel and busybox, and a ramdisk with them that waits for commands.</summary>
/// <param name="Program">The guest program on the host.</param>
/// <param name="Busybox">The guest's busybox on the host.</param>
/// <param name="Kernel">A bzImage.</param>
/// <param name="Ramdisk">A cpio archive, compressed.</param>
/// <param name="Release">What uname -r prints in the guest.</param>
internal sealed record GuestFiles(string Program, string Busybox, string Kernel, string Ramdisk, string Release)
{
    /// <summary>The guest's first line.</summary>
    public const string Ready = "BENCH ready";

    /// <summary>The word that ends a guest.</summary>
    public const string End = "end";

    /// <summary>
    /// Groups come as lines of the console. A guest whose host died hears nothing more: its read times out, and it powers off.
    /// </summary>
    private const string Script =
        $"""
        stty -echo
        echo "{Ready}"
        while read -r -t 1800 group percent && [ "$group" != {End} ]; do
            /opt/bench/bench "$group" "$percent" || echo "BENCH-FAILED $group $?"
        done
        """;

    /// <summary>Builds the program into <paramref name="directory"/> with the host's gcc and the ramdisk in the cache.</summary>
    /// <exception cref="BenchFailureException">A tool or a package is missing.</exception>
    public static async Task<GuestFiles> PrepareAsync(string directory, GuestPackageCache cache, CancellationToken cancellation)
    {
        string program = await BuildProgramAsync(directory, cancellation).ConfigureAwait(false);
        try
        {
            RamdiskFile file = new("/opt/bench/bench", await File.ReadAllBytesAsync(program, cancellation).ConfigureAwait(false), Executable: true);
            QuickstartGuest guest = await QuickstartGuest.PrepareAsync(
                cache, extraFiles: [file], runScript: Script, cancellation: cancellation).ConfigureAwait(false);
            GuestPackage busybox = await cache.GetAsync("busybox-static", cancellation: cancellation).ConfigureAwait(false);
            return new GuestFiles(program, QuickstartGuest.FindBusybox(busybox), guest.KernelPath, guest.RamdiskPath, guest.Release);
        }
        catch (GuestPackageUnavailableException e)
        {
            throw new BenchFailureException(e.Message);
        }
    }

    /// <summary>Compiles bench/guest, each file by itself: only avx.c may use what it is named for.</summary>
    public static async Task<string> BuildProgramAsync(string directory, CancellationToken cancellation)
    {
        string target = Path.Combine(directory, "bench");
        List<string> objects = [];
        foreach (string source in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "guest"), "*.c").Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileNameWithoutExtension(source);
            objects.Add(Path.Combine(directory, $"{name}.o"));
            string[] vectors = name == "avx" ? ["-mavx2", "-mfma"] : [];
            await CompileAsync(["-O2", "-Wall", "-Wextra", "-Werror", .. vectors, "-c", source, "-o", objects[^1]], cancellation).ConfigureAwait(false);
        }

        await CompileAsync(["-static", "-o", target, .. objects], cancellation).ConfigureAwait(false);
        return target;
    }

    private static async Task CompileAsync(string[] arguments, CancellationToken cancellation)
    {
        try
        {
            using Process gcc = Process.Start(new ProcessStartInfo("gcc", arguments) { RedirectStandardError = true })!;
            string error = await gcc.StandardError.ReadToEndAsync(cancellation).ConfigureAwait(false);
            await gcc.WaitForExitAsync(cancellation).ConfigureAwait(false);
            if (gcc.ExitCode != 0)
            {
                throw new BenchFailureException(error.Contains("cannot find -l", StringComparison.Ordinal)
                    ? "there is no static C library: apt-get install libc6-dev"
                    : $"the guest program does not build:\n{error}");
            }
        }
        catch (Win32Exception)
        {
            throw new BenchFailureException("gcc was not found: apt-get install gcc libc6-dev");
        }
    }
}
