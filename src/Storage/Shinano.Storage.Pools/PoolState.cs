using Microsoft.Win32.SafeHandles;
using Shinano.Linux;
using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Pools;

/// <summary>A pool's record while its lock is held: finds by name, and keeps layers in step with the files.</summary>
internal sealed class PoolState(PoolFile files, PoolRecord record, string pool) : IDisposable
{
    private readonly List<SafeFileHandle> _newFiles = [];
    private bool _hasNewNames;

    /// <summary>A longer chain makes each read of untouched data slow, and the image code refuses 200 layers.</summary>
    public const int MostLayers = 150;

    /// <summary>A process that has a volume open and snapshots it merges layers when there are as many as this (docs/design/storage.md, "Long chains").</summary>
    public const int MergeAt = 100;

    /// <summary>How many of them, the oldest, it leaves as they are.</summary>
    public const int KeptByMerge = 50;

    public PoolRecord Record => record;

    public PoolFile Files => files;

    public bool IsSaved { get; private set; }

    /// <summary>Makes new layers durable, then the record that names them.</summary>
    public void Save()
    {
        List<Action> before = [.. _newFiles.Select(file => (Action)(() => FileStorage.FlushData(file)))];
        if (_hasNewNames)
        {
            before.Add(() => DirectorySync.Flush(files.LayersDirectory));
        }

        files.Save(record, before);
        IsSaved = true;
        _hasNewNames = false;
        Dispose();
    }

    /// <summary>A layer's file got its name: it is durable before the record.</summary>
    public void NoteNewName() => _hasNewNames = true;

    public void Dispose()
    {
        _newFiles.ForEach(file => file.Dispose());
        _newFiles.Clear();
    }

    public bool Has(VolumeName name) => record.Volumes.TryGetValue(name.Volume, out VolumeRecord? volume)
        && (name.Snapshot is null || volume.Snapshots.Exists(snapshot => snapshot.Name == name.Snapshot));

    public VolumeRecord Volume(VolumeName name, string action = "open") =>
        record.Volumes.TryGetValue(name.Volume, out VolumeRecord? volume)
            ? volume
            : throw new VolumeException($"cannot {action} '{name.Dataset}': dataset does not exist");

    public SnapshotRecord Snapshot(VolumeName name, string action = "open") =>
        Volume(name, action).Snapshots.Find(snapshot => snapshot.Name == name.Snapshot)
        ?? throw new VolumeException($"cannot {action} '{name}': dataset does not exist");

    /// <summary>The name of a snapshot by its guid; null when it is gone.</summary>
    public string? NameOf(Guid snapshot) =>
        (from volume in record.Volumes
         from candidate in volume.Value.Snapshots
         where candidate.Guid == snapshot
         select $"{pool}/{volume.Key}@{candidate.Name}").FirstOrDefault();

    /// <summary>Volumes that begin as a snapshot.</summary>
    public IEnumerable<string> ClonesOf(Guid snapshot) => record.Volumes.Where(volume => volume.Value.Origin == snapshot).Select(volume => volume.Key);

    /// <summary>Refuses a name that is taken, or lies under a volume or over one.</summary>
    public void CheckFree(VolumeName name, string action)
    {
        if (record.Volumes.ContainsKey(name.Volume))
        {
            throw new VolumeException($"cannot {action} '{name.Dataset}': dataset already exists");
        }

        foreach (string other in record.Volumes.Keys)
        {
            if (name.Volume.StartsWith($"{other}/", StringComparison.Ordinal) || other.StartsWith($"{name.Volume}/", StringComparison.Ordinal))
            {
                throw new VolumeException($"cannot {action} '{name.Dataset}': '{pool}/{other}' is a volume, which can have no children");
            }
        }
    }

    public void CheckQuota(VolumeName name, string action, long more)
    {
        if (record.Quota is { } quota && record.Volumes.Values.Sum(volume => volume.Size) > quota - more)
        {
            throw new VolumeException($"cannot {action} '{name.Dataset}': out of space: the pool's quota is {ByteSize.Format(quota)}, and volumes are counted with their whole size");
        }
    }

    public int Depth(long? layer) => Chain(layer).Count();

    /// <summary>A layer and those below it.</summary>
    public IEnumerable<long> Chain(long? layer)
    {
        for (; layer is { } id; layer = record.Layers[id].Parent)
        {
            yield return id;
        }
    }

    /// <summary>Makes an empty layer over another; durable once this is saved.</summary>
    public long NewLayer(long? parent, long size, string compression)
    {
        if (Depth(parent) >= MostLayers)
        {
            throw new VolumeException($"the volume has {MostLayers} layers, which makes reads slow: 'xvol flatten' makes them one");
        }

        (long id, _) = ReserveLayer(parent, size, compression, files.LayerPath);
        NoteNewName();
        record.Layers.Add(id, new LayerRecord(parent));
        return id;
    }

    /// <summary>Takes a layer's number and makes its empty file; the record does not name it yet.</summary>
    /// <param name="place">Where the file of a number is to be.</param>
    public (long Layer, string Path) ReserveLayer(long? parent, long size, string compression, Func<long, string> place)
    {
        long id = record.NextLayer++;
        string path = place(id);

        // A left-over of a process that died before it had recorded the layer.
        File.Delete(path);
        _newFiles.Add(Qcow2Format.CreateUnflushed(
            path, size, parent is { } below ? (PoolFile.LayerFile(below), ImageFormat.Qcow2) : null, zstd: compression == "zstd"));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return (id, path);
    }

    /// <summary>Puts a new volume into the record.</summary>
    /// <param name="origin">The snapshot that it begins as.</param>
    public void AddVolume(VolumeName name, long size, long layer, string compression, Guid? origin = null) =>
        record.Volumes.Add(name.Volume, new VolumeRecord
        {
            Guid = Guid.NewGuid(),
            Created = DateTimeOffset.UtcNow,
            Size = size,
            Layer = layer,
            Origin = origin,
            Compression = compression,
        });

    /// <summary>Layers that no volume, snapshot or layer needs leave the record; their files may go once it is saved.</summary>
    public IReadOnlyList<string> Collect()
    {
        HashSet<long> needed = [];
        foreach (VolumeRecord volume in record.Volumes.Values)
        {
            foreach (long root in volume.Snapshots.Select(snapshot => snapshot.Layer).Append(volume.Layer))
            {
                for (long? layer = root; layer is { } id && needed.Add(id); layer = record.Layers[id].Parent)
                {
                }
            }
        }

        long[] gone = [.. record.Layers.Keys.Where(layer => !needed.Contains(layer))];
        foreach (long layer in gone)
        {
            record.Layers.Remove(layer);
        }

        return [.. gone.Select(files.LayerPath)];
    }

    /// <summary>Layers without a name of their own that only one layer builds on: they can become a part of that one.</summary>
    public IEnumerable<(long Layer, long Child)> Mergeable()
    {
        HashSet<long> named = [.. record.Volumes.Values.SelectMany(volume => volume.Snapshots.Select(snapshot => snapshot.Layer).Append(volume.Layer))];
        return from layer in record.Layers.Keys
               where !named.Contains(layer)
               let children = record.Layers.Where(other => other.Value.Parent == layer).Select(other => other.Key).ToArray()
               where children.Length == 1
               select (layer, children[0]);
    }
}
