using System.Security.Cryptography;
using System.Text;

namespace Shinano.Control.GuestPackages.Images;

/// <summary>What a root volume is to hold.</summary>
public sealed record ImageRecipe
{
    /// <summary>Smallest file system that such a system fits into, MiB.</summary>
    public const int MinimumMebibytes = 1024;

    /// <summary>Debian's release.</summary>
    public string Suite { get; init; } = "bookworm";

    /// <summary>Debian's archive; null for the host's own choice of mirror.</summary>
    public string? Mirror { get; init; }

    /// <summary>Kernel package of the guest. Not the cloud kernel: it is packed with lz4, which PV GRUB does not unpack ("not xen image").</summary>
    public string KernelPackage { get; init; } = "linux-image-amd64";

    /// <summary>Packages beside the usual ones.</summary>
    public IReadOnlyList<string> Packages { get; init; } = [];

    /// <summary>Null: the machine takes its domain's name, so that clones are told apart.</summary>
    public string? HostName { get; init; }

    /// <summary>Good for ssh as well. Null: an empty one, good for the console only.</summary>
    public string? RootPassword { get; init; }

    /// <summary>Lines for root's authorized_keys.</summary>
    public IReadOnlyList<string> SshKeys { get; init; } = [];

    /// <summary>The kernel's options beside the root: see QuickstartGuest.CommandLine for why there are no mitigations.</summary>
    public string KernelOptions { get; init; } = "console=tty0 console=hvc0 mitigations=off";

    /// <summary>Volume, MiB; the file system has all but the first.</summary>
    public int Mebibytes { get; init; } = 4096;

    /// <summary>Everything that is installed.</summary>
    public IEnumerable<string> AllPackages =>
    [
        "systemd", "systemd-sysv", "udev", "dbus", "kmod", "initramfs-tools", KernelPackage, "openssh-server", "systemd-resolved", "libnss-myhostname", "xenstore-utils",
        "iproute2", "iputils-ping", "e2fsprogs", "login", "passwd", "procps", "less", "ca-certificates", .. Packages,
    ];

    /// <summary>Names the tree that this is made of; sizes, names, passwords and keys make no difference to it.</summary>
    /// <param name="scripts">Text of the scripts that make it.</param>
    internal string Key(IEnumerable<string> scripts)
    {
        string all = string.Join('\n', [Suite, Mirror ?? "", .. AllPackages, .. scripts]);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(all)))[..16];
    }

    /// <summary>Says what is wrong with it; null when nothing is. Words that reach a command line or a file are held to what such words can be.</summary>
    public string? FindFault()
    {
        if (Mebibytes is < MinimumMebibytes or > 1 << 24)
        {
            return $"a size of {Mebibytes} MiB is not from {MinimumMebibytes} to {1 << 24}";
        }

        if (!IsWord(Suite, "-."))
        {
            return $"'{Suite}' is no suite, such as bookworm";
        }

        if (AllPackages.FirstOrDefault(package => !IsWord(package, "+-.:")) is { } wrong)
        {
            return $"'{wrong}' is no package's name";
        }

        if (HostName is not null && !IsWord(HostName, "-."))
        {
            return $"'{HostName}' is no host name";
        }

        return Mirror is not null && !Uri.TryCreate(Mirror, UriKind.Absolute, out _) ? $"'{Mirror}' is no address of a mirror"
            : ((string?[])[RootPassword, KernelOptions, .. SshKeys]).Any(text => text?.Any(char.IsControl) == true) ? "password, keys and kernel options are one line each"
            : SshKeys.FirstOrDefault(key => !IsPublicKey(key)) is { } other ? $"'{Shorten(other)}' is no public key of ssh, such as \"ssh-ed25519 AAAA... me@here\""
            : null;
    }

    /// <summary>sshd(8), AUTHORIZED_KEYS FILE FORMAT, without options: a type, the key in base 64, a comment.</summary>
    private static bool IsPublicKey(string line)
    {
        string[] parts = line.Split(' ', 3);
        return parts.Length >= 2 && parts[0].Split('-') is ["ssh" or "ecdsa" or "sk", ..] && parts[1].StartsWith("AAAA", StringComparison.Ordinal);
    }

    private static string Shorten(string text) => text.Length > 40 ? text[..37] + "..." : text;

    private static bool IsWord(string text, string others) =>
        text.Length is > 0 and <= 100 && char.IsAsciiLetterOrDigit(text[0]) && text.All(c => char.IsAsciiLetterOrDigit(c) || others.Contains(c, StringComparison.Ordinal));
}
