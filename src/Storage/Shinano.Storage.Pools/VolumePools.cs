using Shinano.Linux;

namespace Shinano.Storage.Pools;

/// <summary>All pools of a user or host: entries of <c>STATE/pools</c>, each a pool's directory or a link to it.</summary>
public sealed class VolumePools(ShinanoPaths paths)
{
    /// <summary>The pool that is made when it is first needed.</summary>
    public const string DefaultPool = "tank";

    /// <summary>As often as this a volume may get another head while it is being opened.</summary>
    private const int MostAttempts = 20;

    private string PoolsDirectory { get; } = Path.Combine(paths.StateDirectory, "pools");

    /// <summary>The names of all pools; the default one is made if there is none.</summary>
    public IReadOnlyList<string> Names()
    {
        if (!Directory.Exists(PoolsDirectory) || !Directory.EnumerateFileSystemEntries(PoolsDirectory).Any())
        {
            _ = Get(DefaultPool);
        }

        return [.. Directory.EnumerateFileSystemEntries(PoolsDirectory).Select(path => Path.GetFileName(path)).Where(name => !name.StartsWith('.')).Order(StringComparer.Ordinal)];
    }

    /// <summary>Opens a pool.</summary>
    /// <exception cref="VolumeException">There is no such pool.</exception>
    public IVolumePool Get(string name)
    {
        string directory = Path.Combine(PoolsDirectory, name);
        PoolFile file = new(directory, name);
        if (name == DefaultPool && !File.Exists(Path.Combine(directory, "pool.json")))
        {
            ShinanoPaths.EnsureDirectory(directory);
            file.Create(new PoolRecord());
        }

        PoolRecord record = file.Load();
        return record.Type == "zfs" ? new ZfsPool(name, record.Dataset ?? name) : new DirectoryPool(name, directory);
    }

    /// <summary>Opens a pool that our own files keep.</summary>
    /// <exception cref="VolumeException">It is another's, or there is none.</exception>
    public DirectoryPool GetDirectoryPool(VolumeName name, string action) =>
        Get(name.Pool) as DirectoryPool
        ?? throw new VolumeException($"cannot {action} '{name}': the pool is the host's ZFS: use zfs(8) itself");

    /// <summary>Makes a pool.</summary>
    /// <param name="name">A ZFS name without slashes.</param>
    /// <param name="directory">Where it is to be; null for a place below the state directory. Made if it is not there, else it must be empty.</param>
    /// <param name="dataset">Of a pool of type zfs, the host's dataset that its volumes are in.</param>
    /// <exception cref="VolumeException">The name is taken or not legal, or the directory is not empty.</exception>
    public void Create(string name, string? directory = null, string? dataset = null)
    {
        if (VolumeName.Parse(name, "create") is not { Volume: "", Snapshot: null })
        {
            throw new VolumeException($"cannot create '{name}': a pool's name has no '/' and no '@'");
        }

        string entry = Path.Combine(PoolsDirectory, name);
        if (Path.Exists(entry))
        {
            throw new VolumeException($"cannot create '{name}': pool already exists");
        }

        ShinanoPaths.EnsureDirectory(PoolsDirectory);
        string place = directory is null ? entry : Path.GetFullPath(directory);
        if (Directory.Exists(place) && Directory.EnumerateFileSystemEntries(place).Any())
        {
            throw new VolumeException($"cannot create '{name}': '{place}' is not empty");
        }

        ShinanoPaths.EnsureDirectory(place);
        new PoolFile(place, name).Create(new PoolRecord { Type = dataset is null ? "directory" : "zfs", Dataset = dataset });
        if (directory is not null)
        {
            File.CreateSymbolicLink(entry, place);
        }

        DirectorySync.Flush(PoolsDirectory);
    }

    /// <summary>Takes a pool that has no volumes away.</summary>
    /// <exception cref="VolumeException">It has volumes, or there is none.</exception>
    public void Destroy(string name)
    {
        string entry = Path.Combine(PoolsDirectory, name);
        PoolFile file = new(entry, name);
        if (file.Load().Volumes.Count > 0)
        {
            throw new VolumeException($"cannot destroy '{name}': pool has volumes");
        }

        string target = new FileInfo(entry).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? entry;
        foreach (string part in (string[])["pool.json", "pool.json.new", "lock"])
        {
            File.Delete(Path.Combine(target, part));
        }

        if (Directory.Exists(Path.Combine(target, "layers")))
        {
            Directory.Delete(Path.Combine(target, "layers"), recursive: true);
        }

        if (target != entry)
        {
            File.Delete(entry);
        }

        Directory.Delete(target);
    }

    /// <summary>How to open what a disk string names: <c>vol:POOL/VOLUME[@SNAPSHOT]</c> without its <c>vol:</c>, or <c>/dev/zvol/[r]dsk/POOL/VOLUME</c>.</summary>
    /// <exception cref="VolumeException">There is none.</exception>
    public Task<ImageReference> ResolveAsync(string text, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        foreach (string prefix in (string[])["/dev/zvol/dsk/", "/dev/zvol/rdsk/", "/dev/zvol/"])
        {
            if (text.StartsWith(prefix, StringComparison.Ordinal))
            {
                text = text[prefix.Length..];
            }
        }

        VolumeName name = VolumeName.Parse(text);
        return name.Volume.Length == 0
            ? throw new VolumeException($"cannot open '{text}': it is a pool, not a volume")
            : Get(name.Pool).ResolveAsync(name, cancellationToken);
    }

    /// <summary>
    /// Opens what a disk string names, and sees to it that it is the volume's present head: a snapshot between the look at the record and the opening would make a frozen
    /// layer of it. Who has the head open keeps others from that.
    /// </summary>
    /// <exception cref="VolumeException">There is none, or it may not be written.</exception>
    /// <exception cref="ImageInUseException">It is in use.</exception>
    public async Task<IBlockImage> OpenAsync(string text, bool readOnly, CancellationToken cancellationToken = default)
    {
        for (int attempt = 1; ; attempt++)
        {
            ImageReference place = await ResolveAsync(text, cancellationToken).ConfigureAwait(false);
            if (place.ReadOnly && !readOnly)
            {
                throw new VolumeException($"cannot open '{text}' for writing: it is read-only");
            }

            IBlockImage image;
            try
            {
                image = await ImageFile.OpenAsync(place with { ReadOnly = readOnly }, cancellationToken).ConfigureAwait(false);
            }
            catch (FileNotFoundException) when (attempt < MostAttempts)
            {
                // Rolled back meanwhile.
                continue;
            }

            if ((await ResolveAsync(text, cancellationToken).ConfigureAwait(false)).Path == place.Path)
            {
                return image;
            }

            await image.DisposeAsync().ConfigureAwait(false);
            if (attempt == MostAttempts)
            {
                throw new VolumeException($"cannot open '{text}': it gets new snapshots all the time");
            }
        }
    }
}
