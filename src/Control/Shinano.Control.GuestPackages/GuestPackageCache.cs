using Shinano.Control.GuestPackages.Apt;

namespace Shinano.Control.GuestPackages;

/// <summary>
/// Debian packages, unpacked for guests' use, without root.
/// <code>
/// CACHE/packages/NAME_VERSION/     an unpacked package; appears whole, by a rename
/// CACHE/packages/.names/NAME       the directory's name that NAME (a metapackage, say) stands for
/// CACHE/packages/.lock             held while a package is fetched
/// CACHE/downloads/*.deb            put here by hand: used before the archive is asked (for machines without a network)
/// CACHE/apt/                       the private state of apt
/// </code>
/// Several processes may use one cache. A package that is there is never looked for again: no network, no lock.
/// </summary>
public sealed class GuestPackageCache
{
    private readonly string root;
    private readonly string packages;
    private readonly string downloads;
    private readonly AptArchive archive;
    private readonly IProgramRunner runner;

    /// <param name="cacheDirectory">Usually ShinanoPaths.CacheDirectory. Created when the first package is fetched.</param>
    public GuestPackageCache(string cacheDirectory)
        : this(cacheDirectory, new ProgramRunner())
    {
    }

    internal GuestPackageCache(string cacheDirectory, IProgramRunner runner)
    {
        root = Path.GetFullPath(cacheDirectory);
        packages = Path.Combine(root, "packages");
        downloads = Path.Combine(root, "downloads");
        archive = new AptArchive(Path.Combine(root, "apt"), runner);
        this.runner = runner;
    }

    /// <summary>The directory that was given, absolute.</summary>
    public string CacheDirectory => root;

    internal IProgramRunner Runner => runner;

    /// <summary>The package if it is in the cache; never touches the network.</summary>
    /// <param name="name">A package or a kernel metapackage, such as "linux-image-cloud-amd64".</param>
    public GuestPackage? TryGetCached(string name)
    {
        CheckName(name);
        var link = Path.Combine(packages, ".names", name);
        if (!File.Exists(link))
        {
            return null;
        }

        var stem = File.ReadAllText(link).Trim();
        var directory = Path.Combine(packages, stem);
        var underscore = stem.IndexOf('_');
        return underscore > 0 && !stem.Contains('/') && Directory.Exists(directory)
            ? new GuestPackage(stem[..underscore], Unescape(stem[(underscore + 1)..]), directory)
            : null;
    }

    /// <summary>The package, fetched first if it is not in the cache. Safe to call from several processes.</summary>
    /// <param name="name">A package or a kernel metapackage, such as "linux-image-cloud-amd64".</param>
    /// <param name="progress">Told of each step; nothing when the package is in the cache.</param>
    /// <param name="cancellation">Ends the work and removes what is half done.</param>
    /// <exception cref="GuestPackageUnavailableException">It is not in the cache and cannot be fetched; the message says what to do.</exception>
    public async Task<GuestPackage> GetAsync(
        string name, IProgress<PackageProgress>? progress = null, CancellationToken cancellation = default)
    {
        if (TryGetCached(name) is { } cached)
        {
            return cached;
        }

        try
        {
            Directory.CreateDirectory(Path.Combine(packages, ".names"));
            Directory.CreateDirectory(downloads);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new GuestPackageUnavailableException(
                name, $"The package {name} is not in the cache, and the cache {root} cannot be written: {exception.Message}", exception);
        }

        using var held = await CacheLock.TakeAsync(
            Path.Combine(packages, ".lock"),
            () => progress?.Report(new PackageProgress(PackageStage.Waiting, name, 0, 0, 0)),
            cancellation).ConfigureAwait(false);
        if (TryGetCached(name) is { } fetchedMeanwhile)
        {
            return fetchedMeanwhile;
        }

        RemoveLeftovers();
        var temporary = Directory.CreateDirectory(Path.Combine(packages, $".tmp-{Guid.NewGuid():N}")).FullName;
        try
        {
            var (file, package) = FindDownloaded(name) is { } byHand
                ? (byHand, Path.GetFileName(byHand).Split('_')[0])
                : await DownloadAsync(name, temporary, progress, cancellation).ConfigureAwait(false);
            return await ExtractAsync(name, package, file, temporary, progress, cancellation).ConfigureAwait(false);
        }
        finally
        {
            TryDelete(temporary);
        }
    }

    private async Task<(string File, string Package)> DownloadAsync(
        string name, string directory, IProgress<PackageProgress>? progress, CancellationToken cancellation)
    {
        var complaint = await archive.UpdateAsync(name, progress, cancellation).ConfigureAwait(false);
        progress?.Report(new PackageProgress(PackageStage.Resolving, name, 0, 0, 0));
        if (await archive.FindAsync(name, cancellation).ConfigureAwait(false) is not { } candidate)
        {
            throw Unavailable(name, complaint ?? "the package sources of this host (/etc/apt) do not have it");
        }

        var (file, failure) = await archive.DownloadAsync(candidate, directory, progress, cancellation).ConfigureAwait(false);
        return file is null ? throw Unavailable(name, failure!) : (file, candidate.Name);
    }

    private async Task<GuestPackage> ExtractAsync(
        string name, string package, string file, string temporary, IProgress<PackageProgress>? progress, CancellationToken cancellation)
    {
        progress?.Report(new PackageProgress(PackageStage.Extracting, package, 0, 0, 0));
        var parts = Path.GetFileNameWithoutExtension(file).Split('_');
        var version = parts.Length > 1 ? parts[1] : "0";
        var stem = $"{package}_{version}";
        var target = Path.Combine(packages, stem);
        if (!Directory.Exists(target))
        {
            var tree = Path.Combine(temporary, "tree");
            var result = await runner.RunAsync("dpkg-deb", ["-x", file, tree], temporary, null, cancellation).ConfigureAwait(false);
            if (!result.Succeeded)
            {
                throw new GuestPackageUnavailableException(
                    name,
                    result.ExitCode == ProgramResult.NotFound
                        ? $"The package {file} cannot be unpacked: dpkg-deb was not found. Install the host's package dpkg."
                        : $"The package {file} cannot be unpacked into {packages}: {result.Error.Trim()}");
            }

            Directory.Move(tree, target);
        }

        Remember(package, stem, temporary);
        Remember(name, stem, temporary);
        progress?.Report(new PackageProgress(PackageStage.Done, package, 0, 0, 100));
        return new GuestPackage(package, Unescape(version), target);
    }

    /// <summary>Written aside and renamed, so that a reader without the lock never sees half a name.</summary>
    private void Remember(string name, string stem, string temporary)
    {
        var aside = Path.Combine(temporary, "name");
        File.WriteAllText(aside, stem + "\n");
        File.Move(aside, Path.Combine(packages, ".names", name), overwrite: true);
    }

    private string? FindDownloaded(string name) => Directory.EnumerateFiles(downloads, "*.deb")
        .Where(path => StandsFor(Path.GetFileName(path).Split('_')[0], name))
        .Order(StringComparer.Ordinal)
        .LastOrDefault();

    /// <summary>
    /// Whether <paramref name="package"/> is what <paramref name="name"/> asks for: itself, or, for linux-image-FLAVOUR, the
    /// package linux-image-VERSION-FLAVOUR where VERSION has no letters that would make it another flavour ("-cloud", "-rt").
    /// </summary>
    internal static bool StandsFor(string package, string name)
    {
        const string prefix = "linux-image-";
        if (package == name)
        {
            return true;
        }

        if (!name.StartsWith(prefix, StringComparison.Ordinal) || !package.StartsWith(prefix, StringComparison.Ordinal)
            || !package.EndsWith(name[(prefix.Length - 1)..], StringComparison.Ordinal)
            || package.Length < prefix.Length + name.Length - prefix.Length + 2)
        {
            return false;
        }

        var version = package[prefix.Length..^(name.Length - prefix.Length + 1)];
        return char.IsAsciiDigit(version[0]) && version.Split('-').All(part => part.Length > 0 && char.IsAsciiDigit(part[0]));
    }

    private GuestPackageUnavailableException Unavailable(string name, string why)
    {
        var download = name.StartsWith("linux-image-", StringComparison.Ordinal) && !char.IsAsciiDigit(name["linux-image-".Length])
            ? $"apt-get download $(apt-cache depends {name} | grep -o 'linux-image-[0-9][^ ]*')"
            : $"apt-get download {name}";
        return new GuestPackageUnavailableException(
            name,
            $"""
            The Debian package {name} is needed, is not in the cache ({packages}), and could not be fetched: {why.TrimEnd('.')}.
            Try again when this machine can reach a Debian mirror. Or, on a Debian machine that can, run
                {download}
            and copy the .deb file into {downloads}/ here.
            """);
    }

    /// <summary>Only the holder of the lock makes temporary directories, so any that is there now was left by one that died.</summary>
    private void RemoveLeftovers()
    {
        foreach (var leftover in Directory.EnumerateDirectories(packages, ".tmp-*"))
        {
            TryDelete(leftover);
        }
    }

    private static void TryDelete(string directory)
    {
        try
        {
            Directory.Delete(directory, recursive: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The next fetch tries again; nothing reads a temporary directory.
        }
    }

    private static void CheckName(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);

        // Debian policy §5.6.7; it also keeps the name inside our directory.
        if (!char.IsAsciiLetterOrDigit(name[0])
            || name.Any(c => !char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c is not ('+' or '-' or '.')))
        {
            throw new ArgumentException($"'{name}' is not the name of a Debian package", nameof(name));
        }
    }

    /// <summary>apt writes the colon of an epoch as %3a in file names.</summary>
    private static string Unescape(string version) => version.Replace("%3a", ":", StringComparison.OrdinalIgnoreCase);
}
