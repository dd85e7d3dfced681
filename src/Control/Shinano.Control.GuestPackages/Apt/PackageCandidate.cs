using System.Globalization;
using System.Text.RegularExpressions;

namespace Shinano.Control.GuestPackages.Apt;

/// <summary>A package as the archive's lists describe it.</summary>
/// <param name="Name">The package.</param>
/// <param name="Version">The version that apt would install.</param>
/// <param name="Size">Size of the .deb in bytes; 0 when the lists do not say.</param>
/// <param name="KernelDependency">
/// For a kernel metapackage (linux-image-amd64), the versioned package that it depends on; else null.
/// </param>
internal sealed partial record PackageCandidate(string Name, string Version, long Size, string? KernelDependency)
{
    /// <summary>Parses the first stanza that "apt-cache show" prints; null when it names no package.</summary>
    public static PackageCandidate? Parse(string stanza)
    {
        string? name = null;
        string? version = null;
        string? kernel = null;
        long size = 0;
        foreach (var line in stanza.Split('\n'))
        {
            if (line.Trim().Length == 0 && name is not null)
            {
                break;
            }

            var colon = line.IndexOf(": ", StringComparison.Ordinal);
            if (colon <= 0)
            {
                continue;
            }

            var value = line[(colon + 2)..].Trim();
            switch (line[..colon])
            {
                case "Package":
                    name = value;
                    break;
                case "Version":
                    version = value;
                    break;
                case "Size":
                    _ = long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out size);
                    break;
                case "Depends":
                    kernel = VersionedKernel().Match(value) is { Success: true } match ? match.Value : null;
                    break;
                default:
                    break;
            }
        }

        if (name is null || version is null)
        {
            return null;
        }

        var isMetapackage = name.StartsWith("linux-image-", StringComparison.Ordinal) && !VersionedKernel().IsMatch(name);
        return new PackageCandidate(name, version, size, isMetapackage ? kernel : null);
    }

    [GeneratedRegex(@"\blinux-image-[0-9][a-z0-9.+~-]*")]
    private static partial Regex VersionedKernel();
}
