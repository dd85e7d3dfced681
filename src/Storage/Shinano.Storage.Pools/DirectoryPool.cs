using Microsoft.Win32.SafeHandles;
using Shinano.Linux;
using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Pools;

/// <summary>A pool in a directory: a record and one qcow2 file for each layer (docs/formats/pool.md). A snapshot or clone is a new, empty layer.</summary>
public sealed class DirectoryPool : IVolumePool
{
    private readonly PoolFile _files;

    internal DirectoryPool(string name, string directory)
    {
        Name = name;
        _files = new PoolFile(directory, name);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Where the pool is.</summary>
    public string Root => _files.Root;

    internal PoolFile Files => _files;

    /// <inheritdoc/>
    public Task<ImageReference> ResolveAsync(VolumeName name, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(name);
        PoolState state = Read();
        VolumeRecord volume = state.Volume(name);
        long layer = name.Snapshot is null ? volume.Layer : state.Snapshot(name).Layer;
        return Task.FromResult(new ImageReference(_files.LayerPath(layer), ImageFormat.Qcow2) { ReadOnly = name.Snapshot is not null || volume.IsReadOnly });
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<VolumeInfo>> ListAsync(CancellationToken cancellationToken = default) =>
        Task.Run<IReadOnlyList<VolumeInfo>>(() => PoolList.Of(this, Read()), cancellationToken);

    /// <inheritdoc/>
    public Task CreateAsync(VolumeName name, long size, CancellationToken cancellationToken = default) =>
        ChangeAsync(state =>
        {
            state.CheckFree(name, "create");
            CheckSize(name, size, "create");
            state.CheckQuota(name, "create", size);
            string compression = state.Record.Compression;
            state.AddVolume(name, size, state.NewLayer(null, size, compression), compression);
        });

    /// <inheritdoc/>
    public Task SnapshotAsync(VolumeName name, CancellationToken cancellationToken = default) => SnapshotAsync(name, Guid.NewGuid(), cancellationToken);

    /// <summary>Names the present contents of a volume.</summary>
    /// <param name="guid">What the snapshot is known by, whatever its name is later.</param>
    public Task SnapshotAsync(VolumeName name, Guid guid, CancellationToken cancellationToken = default) =>
        ChangeAsync(state =>
        {
            VolumeRecord volume = state.Volume(name, "create snapshot");
            if (state.Has(name))
            {
                throw new VolumeException($"cannot create snapshot '{name}': dataset already exists");
            }

            using ImageHold head = Hold(volume, name, "create snapshot");
            long frozen = volume.Layer;
            volume.Layer = state.NewLayer(frozen, volume.Size, volume.Compression);
            volume.Snapshots.Add(new SnapshotRecord
            {
                Name = name.Snapshot!,
                Guid = guid,
                Created = DateTimeOffset.UtcNow,
                Size = volume.Size,
                Layer = frozen,
            });

            // While the head is held: nobody may open as a head what is a snapshot now.
            state.Save();
        });

    /// <inheritdoc/>
    public Task CloneAsync(VolumeName snapshot, VolumeName name, CancellationToken cancellationToken = default) =>
        ChangeAsync(state =>
        {
            SnapshotRecord source = state.Snapshot(snapshot);
            state.CheckFree(name, "create");
            state.CheckQuota(name, "create", source.Size);
            string compression = state.Volume(snapshot).Compression;
            state.AddVolume(name, source.Size, state.NewLayer(source.Layer, source.Size, compression), compression, source.Guid);
        });

    /// <inheritdoc/>
    public Task RollbackAsync(VolumeName snapshot, bool destroyNewer, CancellationToken cancellationToken = default) =>
        ChangeAsync(state =>
        {
            VolumeRecord volume = state.Volume(snapshot, "rollback");
            SnapshotRecord target = state.Snapshot(snapshot, "rollback");
            SnapshotRecord[] newer = [.. volume.Snapshots.Skip(volume.Snapshots.IndexOf(target) + 1)];
            if (newer.Length > 0 && !destroyNewer)
            {
                throw new VolumeException(
                    $"cannot rollback to '{snapshot}': more recent snapshots exist\nuse '-r' to force deletion of the following snapshots:\n"
                    + string.Join('\n', newer.Select(other => $"{snapshot.Dataset}@{other.Name}")));
            }

            foreach (SnapshotRecord other in newer)
            {
                CheckNoClones(state, other, $"cannot rollback to '{snapshot}': clones of later snapshots exist");
            }

            using ImageHold head = Hold(volume, snapshot, "rollback");
            foreach (SnapshotRecord other in newer)
            {
                volume.Snapshots.Remove(other);
            }

            volume.Layer = state.NewLayer(target.Layer, target.Size, volume.Compression);
            volume.Size = target.Size;
            SaveAndCollect(state);
        });

    /// <summary>
    /// Makes volumes what they were, all of them or none. Unlike <see cref="RollbackAsync"/> it destroys no snapshot: what is lost is what was written to the volumes since
    /// the youngest snapshot that they come from.
    /// </summary>
    /// <param name="targets">Snapshots, each of another volume, and what they are known by.</param>
    /// <exception cref="VolumeException">One is missing, or another one has its name, or a volume is in use.</exception>
    public Task RevertAsync(IReadOnlyList<(VolumeName Name, Guid Guid)> targets, CancellationToken cancellationToken = default) =>
        ChangeAsync(state =>
        {
            List<ImageHold> held = [];
            try
            {
                foreach ((VolumeName name, Guid guid) in targets)
                {
                    VolumeRecord volume = state.Volume(name, "revert");
                    SnapshotRecord target = state.Snapshot(name, "revert");
                    if (target.Guid != guid)
                    {
                        throw new VolumeException($"cannot revert to '{name}': it is another snapshot of that name");
                    }

                    held.Add(Hold(volume, name, "revert"));
                    volume.Layer = state.NewLayer(target.Layer, target.Size, volume.Compression);
                    volume.Size = target.Size;
                }

                SaveAndCollect(state);
            }
            finally
            {
                held.ForEach(handle => handle.Dispose());
            }
        });

    /// <summary>What is known of a snapshot; null when there is none of that name.</summary>
    /// <exception cref="VolumeException">There is no such volume.</exception>
    public SnapshotFacts? FindSnapshot(VolumeName name)
    {
        PoolState state = Read();
        return state.Volume(name).Snapshots.Find(one => one.Name == name.Snapshot) is { } snapshot
            ? new SnapshotFacts(snapshot.Guid, [.. state.ClonesOf(snapshot.Guid).Select(clone => $"{Name}/{clone}")])
            : null;
    }

    /// <summary>Who has a volume open, in words; null for nobody.</summary>
    /// <exception cref="VolumeException">There is no such volume.</exception>
    public string? FindHolder(VolumeName name)
    {
        try
        {
            Hold(Read().Volume(name), name, "open").Dispose();
            return null;
        }
        catch (VolumeBusyException e)
        {
            return e.Holder;
        }
    }

    /// <inheritdoc/>
    public Task PromoteAsync(VolumeName name, CancellationToken cancellationToken = default) =>
        ChangeAsync(state =>
        {
            VolumeRecord clone = state.Volume(name, "promote");
            KeyValuePair<string, VolumeRecord> parent = state.Record.Volumes.FirstOrDefault(
                other => clone.Origin is { } origin && other.Value.Snapshots.Exists(snapshot => snapshot.Guid == origin));
            if (parent.Value is null)
            {
                throw new VolumeException($"cannot promote '{name}': not a cloned volume");
            }

            int count = parent.Value.Snapshots.FindIndex(snapshot => snapshot.Guid == clone.Origin) + 1;
            SnapshotRecord[] moved = [.. parent.Value.Snapshots.Take(count)];
            if (moved.FirstOrDefault(snapshot => clone.Snapshots.Exists(own => own.Name == snapshot.Name)) is { } conflict)
            {
                throw new VolumeException($"cannot promote '{name}': snapshot name '{conflict.Name}' from origin conflicts with existing snapshot");
            }

            parent.Value.Snapshots.RemoveRange(0, count);
            clone.Snapshots.InsertRange(0, moved);
            (clone.Origin, parent.Value.Origin) = (parent.Value.Origin, clone.Origin);
        });

    /// <inheritdoc/>
    public async Task DestroyAsync(
        VolumeName name, bool snapshots, bool clones, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        await ChangeAsync(state =>
        {
            if (name.Volume.Length == 0)
            {
                throw new VolumeException($"cannot destroy '{name}': operation does not apply to pools");
            }

            List<ImageHold> held = [];
            try
            {
                VolumeDestruction.Run(state, name, snapshots, clones, (volume, itsName) => held.Add(Hold(volume, itsName, "destroy")));
                SaveAndCollect(state);
            }
            finally
            {
                held.ForEach(handle => handle.Dispose());
            }
        }).ConfigureAwait(false);
        await new LayerMerge(_files, ReadRecordAsync).RunAsync(progress, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public Task RenameAsync(VolumeName name, VolumeName to, CancellationToken cancellationToken = default) =>
        ChangeAsync(state =>
        {
            ArgumentNullException.ThrowIfNull(to);
            VolumeRecord volume = state.Volume(name);
            if ((name.Snapshot is null) != (to.Snapshot is null) || name.Pool != to.Pool || (name.Snapshot is not null && name.Volume != to.Volume))
            {
                throw new VolumeException($"cannot rename to '{to}': a volume stays in its pool, a snapshot with its volume");
            }

            if (name.Snapshot is null)
            {
                state.Record.Volumes.Remove(name.Volume);
                state.CheckFree(to, "rename to");
                state.Record.Volumes.Add(to.Volume, volume);
                return;
            }

            SnapshotRecord snapshot = state.Snapshot(name);
            if (state.Has(to))
            {
                throw new VolumeException($"cannot rename to '{to}': dataset already exists");
            }

            volume.Snapshots[volume.Snapshots.IndexOf(snapshot)] = snapshot with { Name = to.Snapshot! };
        });

    /// <inheritdoc/>
    public async Task ResizeAsync(VolumeName name, long size, CancellationToken cancellationToken = default)
    {
        using SafeFileHandle guard = await _files.LockAsync().ConfigureAwait(false);
        PoolState state = Read();
        VolumeRecord volume = state.Volume(name, "resize");
        CheckSize(name, size, "resize");
        if (size < volume.Size)
        {
            throw new VolumeException($"cannot resize '{name}': a volume can only grow, and it has {ByteSize.Format(volume.Size)}");
        }

        state.CheckQuota(name, "resize", size - volume.Size);
        await using (IBlockImage image = await OpenHeadAsync(volume, name, "resize", cancellationToken).ConfigureAwait(false))
        {
            await image.ResizeAsync(size, cancellationToken).ConfigureAwait(false);
        }

        volume.Size = size;
        state.Save();
    }

    /// <inheritdoc/>
    public Task SetAsync(VolumeName name, string property, string value, CancellationToken cancellationToken = default)
    {
        VolumeException Bad(string reason) => new($"cannot set property for '{name}': {reason}");
        if (name.Volume.Length > 0 && property == "volsize")
        {
            return ByteSize.TryParse(value, out long size)
                ? ResizeAsync(name, size, cancellationToken)
                : throw Bad($"bad numeric value '{value}'");
        }

        return ChangeAsync(state =>
        {
            VolumeRecord? volume = name.Volume.Length > 0 ? state.Volume(name) : null;
            if (name.Snapshot is not null)
            {
                throw Bad("this property can not be modified for snapshots");
            }

            switch (property)
            {
                case "compression" when value is "off" or "zstd":
                    _ = volume is null ? state.Record.Compression = value : volume.Compression = value;
                    break;
                case "compression":
                    throw Bad("'compression' must be one of 'off | zstd'");
                case "readonly" when volume is not null && value is "on" or "off":
                    volume!.IsReadOnly = value == "on";
                    break;
                case "readonly" when volume is not null:
                    throw Bad("'readonly' must be one of 'on | off'");
                case "quota" when volume is null && value == "none":
                    state.Record.Quota = null;
                    break;
                case "quota" when volume is null:
                    state.Record.Quota = ByteSize.TryParse(value, out long quota) ? quota : throw Bad($"bad numeric value '{value}'");
                    break;
                case "quota" or "readonly" or "volsize":
                    throw Bad($"'{property}' does not apply to datasets of this type");
                case "used" or "available" or "referenced" or "origin" or "guid" or "creation" or "type" or "layers" or "flatten" or "inuse":
                    throw Bad($"'{property}' is readonly");
                default:
                    throw Bad($"invalid property '{property}'");
            }
        });
    }

    /// <summary>Makes a volume independent of the layers below its head, copying what they hold.</summary>
    /// <exception cref="VolumeException">It does not exist, or is in use.</exception>
    public async Task FlattenAsync(VolumeName name, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        VolumeRecord volume = Read().Volume(name, "flatten");
        await using (Qcow2Image image = (Qcow2Image)await OpenHeadAsync(volume, name, "flatten", cancellationToken).ConfigureAwait(false))
        {
            // The head is held: no snapshot and no rollback can come between.
            await new HeadMerge(this, image, volume.Layer).RunAsync(0, volume.Compression == "zstd", pace: null, progress, cancellationToken).ConfigureAwait(false);
        }

        await new LayerMerge(_files, ReadRecordAsync).RunAsync(progress, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Does as <see cref="FlattenAsync"/> with a volume that this process has open and goes on using, but compresses nothing and leaves layers without a name for later.</summary>
    /// <param name="head">What <see cref="VolumePools.OpenAsync"/> gave; open until this has returned.</param>
    /// <param name="kept">How many of the oldest layers stay below the head; 0 for none.</param>
    /// <param name="pace">Called with the time that a piece of the work took, before the next one.</param>
    /// <param name="cancellationToken">Ends the work between two pieces; what was copied stays copied, and the volume is what it was.</param>
    /// <exception cref="VolumeException">The image is not the volume's head, or cannot be written.</exception>
    public async Task FlattenInUseAsync(
        VolumeName name, IBlockImage head, int kept, Func<TimeSpan, ValueTask> pace, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        long layer = Read().Volume(name, "flatten").Layer;
        if (head is not Qcow2Image { IsReadOnly: false } image || image.Path != _files.LayerPath(layer))
        {
            throw new VolumeException($"cannot flatten '{name}': what is open is not its head, or is read-only");
        }

        await new HeadMerge(this, image, layer).RunAsync(kept, compress: false, pace, progress, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Whether a volume's chain has become so long that who has it open should merge layers: how many of the oldest are to stay. Null when it has not, or when the host has less than twice
    /// the space that the others take.
    /// </summary>
    public int? FindMergeDue(VolumeName name)
    {
        ArgumentNullException.ThrowIfNull(name);
        PoolState state = Read();
        long[] chain = [.. state.Chain(state.Volume(name).Layer)];
        long most = chain.SkipLast(PoolState.KeptByMerge).Sum(layer => FileStorage.GetAllocatedBytes(_files.LayerPath(layer)));
        return chain.Length >= PoolState.MergeAt && new DriveInfo(Root).AvailableFreeSpace / 2 > most ? PoolState.KeptByMerge : null;
    }

    internal PoolState Read() => new(_files, _files.Load(), Name);

    /// <summary>Runs a change of the record under the pool's lock, and saves it.</summary>
    internal async Task ChangeAsync(Action<PoolState> change)
    {
        using SafeFileHandle guard = await _files.LockAsync().ConfigureAwait(false);
        using PoolState state = Read();
        change(state);
        if (!state.IsSaved)
        {
            state.Save();
        }
    }

    internal async Task<IBlockImage> OpenHeadAsync(VolumeRecord volume, VolumeName name, string action, CancellationToken cancellationToken)
    {
        try
        {
            return await ImageFile.OpenAsync(new ImageReference(_files.LayerPath(volume.Layer), ImageFormat.Qcow2), cancellationToken).ConfigureAwait(false);
        }
        catch (ImageInUseException e)
        {
            throw Busy(name, action, e);
        }
    }

    /// <summary>Saves the record, then removes the files that it does not name any more.</summary>
    internal static void SaveAndCollect(PoolState state)
    {
        IReadOnlyList<string> gone = state.Collect();
        state.Save();
        foreach (string path in gone)
        {
            File.Delete(path);
        }
    }

    internal static VolumeException Busy(VolumeName name, string action, ImageInUseException reason) =>
        new VolumeBusyException($"cannot {action} '{name}': dataset is busy: in use by {reason.Holder}", reason.Holder);

    internal static void CheckSize(VolumeName name, long size, string action)
    {
        if (size <= 0 || size % 512 != 0)
        {
            throw new VolumeException($"cannot {action} '{name}': volume size must be a multiple of 512 bytes");
        }
    }

    private static void CheckNoClones(PoolState state, SnapshotRecord snapshot, string message)
    {
        string[] clones = [.. state.ClonesOf(snapshot.Guid)];
        if (clones.Length > 0)
        {
            throw new VolumeException($"{message}\n{string.Join('\n', clones)}");
        }
    }

    /// <summary>Keeps others from opening a volume's head for as long as the result lives.</summary>
    private ImageHold Hold(VolumeRecord volume, VolumeName name, string action)
    {
        try
        {
            return new ImageHold(new ImageReference(_files.LayerPath(volume.Layer), ImageFormat.Qcow2));
        }
        catch (ImageInUseException e)
        {
            throw Busy(name, action, e);
        }
    }

    private async Task<(SafeFileHandle Guard, PoolState State)> ReadRecordAsync()
    {
        SafeFileHandle guard = await _files.LockAsync().ConfigureAwait(false);
        return (guard, Read());
    }
}
