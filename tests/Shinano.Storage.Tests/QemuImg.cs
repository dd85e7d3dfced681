using System.Diagnostics;

namespace Shinano.Storage.Tests;

/// <summary>Debian's qemu-img and qemu-io (package qemu-utils), the other implementation that ours is held against.</summary>
internal static class QemuImg
{
    public static bool IsThere { get; } = File.Exists("/usr/bin/qemu-img") && File.Exists("/usr/bin/qemu-io");

    public static void SkipIfMissing() => Assert.SkipUnless(IsThere, "qemu-img is not installed (Debian's package qemu-utils)");

    /// <summary>Runs a command that must succeed.</summary>
    public static async Task<string> RunAsync(params string[] arguments)
    {
        (int code, string output) = await TryAsync("qemu-img", arguments);
        Assert.True(code == 0, $"qemu-img {string.Join(' ', arguments)}: {code}\n{output}");
        return output;
    }

    public static async Task<(int Code, string Output)> TryAsync(string program, params string[] arguments)
    {
        ProcessStartInfo start = new($"/usr/bin/{program}", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, await output + await error);
    }

    /// <summary>qemu-img check finds nothing; or, with leaks allowed, nothing worse than leaks (exit code 3).</summary>
    public static async Task CheckAsync(string path, bool leaksAllowed = false)
    {
        if (IsThere)
        {
            (int code, string output) = await TryAsync("qemu-img", "check", "-f", "qcow2", path);
            Assert.True(code == 0 || (leaksAllowed && code == 3), $"qemu-img check {path}: {code}\n{output}");
        }
    }

    /// <summary>qemu-img sees the same content in an image as in a raw file.</summary>
    public static async Task CompareAsync(string path, string raw)
    {
        if (IsThere)
        {
            await RunAsync("compare", "-f", "qcow2", "-F", "raw", path, raw);
        }
    }
}
