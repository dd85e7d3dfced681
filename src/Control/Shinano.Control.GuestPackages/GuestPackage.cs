namespace Shinano.Control.GuestPackages;

/// <summary>A Debian package, unpacked in the cache.</summary>
/// <param name="Name">The package's own name, after a metapackage has been resolved: "linux-image-6.1.0-56-amd64".</param>
/// <param name="Version">Debian's version of it: "6.1.192-2".</param>
/// <param name="Directory">Absolute path of the directory that holds its files as they would be below "/". Read-only for callers.</param>
public sealed record GuestPackage(string Name, string Version, string Directory);
