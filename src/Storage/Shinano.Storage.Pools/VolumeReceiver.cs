using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Pools;

/// <summary>Makes volumes and snapshots from streams and image files: a layer grows under a name that the pool does not know, and is taken in when it is whole.</summary>
public static class VolumeReceiver
{
    /// <summary>Receives a full stream as a new volume, or an incremental one as a new snapshot of a volume.</summary>
    /// <param name="name">The volume, or the snapshot's full name; without one the sender's is taken.</param>
    /// <param name="force">A volume that was written since its latest snapshot loses that.</param>
    /// <returns>The snapshot that was received.</returns>
    /// <exception cref="VolumeException">The stream is damaged, or does not fit.</exception>
    public static async Task<string> ReceiveAsync(
        DirectoryPool pool, VolumeName name, Stream input, bool force, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pool);
        using StreamReader reader = new(input);
        StreamHeader header = await reader.ReadHeaderAsync(cancellationToken).ConfigureAwait(false);
        VolumeName snapshot = name with { Snapshot = name.Snapshot ?? header.Name };
        long? parent = null;
        (long Layer, string Partial) place = default;
        await pool.ChangeAsync(state =>
        {
            parent = header.Base == Guid.Empty ? CheckNew(state, snapshot, header.Size) : CheckBase(state, pool, snapshot, header.Base, force);
            place = state.ReserveLayer(parent, header.Size, "off", state.Files.PartialPath);
        }).ConfigureAwait(false);
        await GrowAsync(pool, place, async image =>
        {
            await reader.ApplyAsync(header, image, progress, cancellationToken).ConfigureAwait(false);
            await image.FlushAsync(cancellationToken).ConfigureAwait(false);
        }, state =>
        {
            _ = header.Base == Guid.Empty ? CheckNew(state, snapshot, header.Size) : CheckBase(state, pool, snapshot, header.Base, force);
            state.Record.Layers.Add(place.Layer, new LayerRecord(parent));
            if (header.Base == Guid.Empty)
            {
                state.AddVolume(snapshot, header.Size, place.Layer, state.Record.Compression);
            }

            VolumeRecord volume = state.Record.Volumes[snapshot.Volume];
            volume.Layer = state.NewLayer(place.Layer, header.Size, volume.Compression);
            volume.Size = header.Size;
            volume.Snapshots.Add(new SnapshotRecord { Name = snapshot.Snapshot!, Guid = header.Guid, Created = header.Created, Size = header.Size, Layer = place.Layer });
        }).ConfigureAwait(false);
        return snapshot.ToString();
    }

    /// <summary>Makes a volume from an image file.</summary>
    /// <exception cref="VolumeException">The name is taken, or the pool is full.</exception>
    public static async Task ImportAsync(
        DirectoryPool pool, VolumeName name, ImageReference source, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pool);
        ArgumentNullException.ThrowIfNull(source);
        await using IBlockImage image = await ImageFile.OpenAsync(source with { ReadOnly = true }, cancellationToken).ConfigureAwait(false);
        (long Layer, string Partial) place = default;
        string compression = "off";
        await pool.ChangeAsync(state =>
        {
            _ = CheckNew(state, name, image.Length);
            compression = state.Record.Compression;
            place = state.ReserveLayer(null, image.Length, compression, state.Files.PartialPath);
        }).ConfigureAwait(false);
        await GrowAsync(
            pool,
            place,
            target => ImageCopy.CopyAsync(image, target, compression == "zstd", progress, cancellationToken),
            state =>
            {
                _ = CheckNew(state, name, image.Length);
                state.Record.Layers.Add(place.Layer, new LayerRecord(Parent: null));
                state.AddVolume(name, image.Length, place.Layer, state.Record.Compression);
            }).ConfigureAwait(false);
    }

    /// <summary>Writes a volume or a snapshot into a new image file without a backing file.</summary>
    /// <param name="compress">Compressed clusters; qcow2 only.</param>
    /// <exception cref="IOException">The file exists, or cannot be written.</exception>
    public static async Task ExportAsync(
        IVolumePool pool, VolumeName name, string path, ImageFormat format, bool compress, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pool);
        ImageReference reference = await pool.ResolveAsync(name, cancellationToken).ConfigureAwait(false) with { ReadOnly = true };
        try
        {
            await using IBlockImage image = await ImageFile.OpenAsync(reference, cancellationToken).ConfigureAwait(false);
            await WriteFileAsync(image, path, format, compress, progress, cancellationToken).ConfigureAwait(false);
        }
        catch (ImageInUseException e)
        {
            throw DirectoryPool.Busy(name, "export", e);
        }
    }

    private static async Task WriteFileAsync(
        IBlockImage image, string path, ImageFormat format, bool compress, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        if (Path.Exists(path))
        {
            throw new VolumeException($"cannot export to '{path}': the file exists");
        }

        if (format == ImageFormat.Raw)
        {
            await using RawImage raw = RawImage.Create(path, image.Length);
            await ImageCopy.CopyAsync(image, raw, compress: false, progress, cancellationToken).ConfigureAwait(false);
            return;
        }

        Qcow2Format.Create(path, image.Length, zstd: compress);
        await using IBlockImage target = await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2), cancellationToken).ConfigureAwait(false);
        await ImageCopy.CopyAsync(image, target, compress, progress, cancellationToken).ConfigureAwait(false);
    }

    private static long? CheckNew(PoolState state, VolumeName name, long size)
    {
        if (state.Record.Volumes.ContainsKey(name.Volume))
        {
            throw new VolumeException($"cannot receive new volume: destination '{name.Dataset}' exists");
        }

        state.CheckFree(name, "receive");
        state.CheckQuota(name, "receive", size);
        return null;
    }

    /// <returns>The layer of the snapshot that the stream changes.</returns>
    private static long CheckBase(PoolState state, DirectoryPool pool, VolumeName name, Guid origin, bool force)
    {
        VolumeRecord volume = state.Record.Volumes.TryGetValue(name.Volume, out VolumeRecord? found)
            ? found
            : throw new VolumeException($"cannot receive incremental stream: destination '{name.Dataset}' does not exist");
        if (volume.Snapshots is not [.., var latest] || latest.Guid != origin)
        {
            throw new VolumeException($"cannot receive incremental stream: most recent snapshot of {name.Dataset} does not match incremental source");
        }

        if (state.Has(name))
        {
            throw new VolumeException($"cannot receive incremental stream: destination '{name}' exists");
        }

        try
        {
            Qcow2Image head = Qcow2Opener.Open(new ImageReference(pool.Files.LayerPath(volume.Layer), ImageFormat.Qcow2));
            // A volume that was reverted to an older snapshot is not the latest one either.
            bool isModified = !force && (state.Record.Layers[volume.Layer].Parent != latest.Layer || ImageExtents.Of(head, 1).Any(extent => extent.Kind != ExtentKind.Below));
            head.DisposeAsync().AsTask().GetAwaiter().GetResult();
            if (isModified)
            {
                throw new VolumeException($"cannot receive incremental stream: destination {name.Dataset} has been modified\nsince most recent snapshot");
            }
        }
        catch (ImageInUseException e)
        {
            throw DirectoryPool.Busy(name, "receive into", e);
        }

        return latest.Layer;
    }

    private static async Task GrowAsync(DirectoryPool pool, (long Layer, string Partial) place, Func<IBlockImage, Task> fill, Action<PoolState> takeIn)
    {
        try
        {
            await using (IBlockImage image = Qcow2Opener.Open(new ImageReference(place.Partial, ImageFormat.Qcow2)))
            {
                await fill(image).ConfigureAwait(false);
            }

            await pool.ChangeAsync(state =>
            {
                using ImageHold held = new(new ImageReference(place.Partial, ImageFormat.Qcow2));
                File.Move(place.Partial, pool.Files.LayerPath(place.Layer));
                state.NoteNewName();
                takeIn(state);
                DirectoryPool.SaveAndCollect(state);
            }).ConfigureAwait(false);
        }
        catch
        {
            File.Delete(place.Partial);
            throw;
        }
    }
}
