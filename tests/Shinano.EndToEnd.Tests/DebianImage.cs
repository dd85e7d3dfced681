using System.Diagnostics;
using Shinano.Control.GuestPackages;
using Shinano.Control.GuestPackages.Images;
using Shinano.Linux;

namespace Shinano.EndToEnd.Tests;

/// <summary>
/// A Debian that virt-make-image has made, once for all tests of a class, and a key that logs in as root. Made by name only (SHINANO_DEBIAN=1): it installs a system from a mirror, and each
/// test boots it once or more. Without what that takes tests are skipped.
/// </summary>
public sealed class DebianImage : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("shi-debian").FullName;
    private string? _missing;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>The private key.</summary>
    public string Key => Path.Combine(_directory, "key");

    private string Image => Path.Combine(_directory, "debian.img");

    public async ValueTask InitializeAsync()
    {
        _missing = Environment.GetEnvironmentVariable("SHINANO_DEBIAN") is not { Length: > 0 } ? "SHINANO_DEBIAN=1 boots a whole Debian (some minutes)"
            : ImageMaker.FindMissing() ?? (File.Exists("/usr/bin/ssh") ? null : "ssh is not installed: apt-get install openssh-client");
        if (_missing is not null)
        {
            return;
        }

        await RunAsync("/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", Key);
        try
        {
            GuestPackageCache cache = new(ShinanoPaths.Current.CacheDirectory);
            await PvGrub.PrepareAsync(cache, null, Cancellation);

            // Homes of tests have caches of their own.
            Environment.SetEnvironmentVariable("SHINANO_PASST", Path.Combine((await cache.GetAsync("passt")).Directory, "usr/bin/passt"));
        }
        catch (GuestPackageUnavailableException e)
        {
            _missing = e.Message;
            return;
        }

        await using Host host = CreateHost();
        ToolResult made = await host.RunAsync("virt-make-image", ["--ssh-key", Key + ".pub", Image]);
        _missing = made.ExitCode == 0 ? null : $"virt-make-image: {made.Error}";
        Assert.False(made.ExitCode != 0 && !made.Error.Contains("E: ", StringComparison.Ordinal), made.ToString());
    }

    /// <summary>A host that shares the user's cache, where the system's tree is.</summary>
    internal Host CreateHost(int? user = null)
    {
        Assert.SkipWhen(_missing is not null && _missing.Length > 0, _missing ?? "");
        Host host = Host.Create(user: user);
        Directory.CreateDirectory(ShinanoPaths.Current.CacheDirectory);
        Directory.CreateSymbolicLink(Path.Combine(host.Home, "cache"), ShinanoPaths.Current.CacheDirectory);
        return host;
    }

    /// <summary>A copy of the image in a host's home; holes stay holes.</summary>
    internal async Task<string> CopyToAsync(Host host)
    {
        string copy = Path.Combine(host.Home, "debian.img");
        await RunAsync("/bin/cp", "--sparse=always", Image, copy);
        return copy;
    }

    /// <summary>Runs a command in a guest, over ssh through a port of the host, and gives what it says.</summary>
    internal async Task<string> SshAsync(int port, string command)
    {
        ProcessStartInfo start = new("/usr/bin/ssh",
        [
            "-q", "-i", Key, "-p", $"{port}", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1", command,
        ])
        {
            RedirectStandardOutput = true,
        };
        using Process ssh = Process.Start(start)!;
        string said = await ssh.StandardOutput.ReadToEndAsync(Cancellation);
        await ssh.WaitForExitAsync(Cancellation);
        Assert.True(ssh.ExitCode == 0, $"ssh ended with {ssh.ExitCode}: {said}");
        return said;
    }

    /// <summary>The file system of a copy is in order.</summary>
    internal static Task CheckFileSystemAsync(string image) => RunAsync("/sbin/e2fsck", "-fn", $"{image}?offset={1 << 20}");

    internal static async Task RunAsync(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        await process.WaitForExitAsync(Cancellation);
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}");
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_directory, recursive: true);
        return ValueTask.CompletedTask;
    }
}
