using System.Globalization;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Shinano.Linux;

namespace Shinano.Storage.Pools;

/// <summary><c>pool.json</c> and the files beside it. Whoever changes the pool holds its lock; a change is a rename, there wholly or not at all.</summary>
internal sealed class PoolFile
{
    private const int MostBytes = 64 << 20;

    private readonly string _name;

    public PoolFile(string directory, string name)
    {
        Root = directory;
        _name = name;
    }

    public string Root { get; }

    public string LayersDirectory => Path.Combine(Root, "layers");

    private string RecordPath => Path.Combine(Root, "pool.json");

    public static string LayerFile(long layer) => $"{layer:x8}.qcow2";

    /// <summary>The layer that a file of this pool is.</summary>
    public static long LayerOf(string path) => long.Parse(Path.GetFileNameWithoutExtension(path.AsSpan()), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    public string LayerPath(long layer) => Path.Combine(LayersDirectory, LayerFile(layer));

    /// <summary>Where a layer grows that no record names yet; the process that writes it has it locked.</summary>
    public string PartialPath(long layer) => $"{LayerPath(layer)}.partial";

    public void Create(PoolRecord record)
    {
        ShinanoPaths.EnsureDirectory(LayersDirectory);
        Save(record);
    }

    /// <summary>Waits for the lock; disposing the result gives it up.</summary>
    public async Task<SafeFileHandle> LockAsync()
    {
        SafeFileHandle file = File.OpenHandle(
            Path.Combine(Root, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            await Task.Run(() => FileRangeLock.Lock(file, 0, 1)).ConfigureAwait(false);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <exception cref="VolumeException">There is no pool, or it is of a kind that we do not know.</exception>
    public PoolRecord Load()
    {
        PoolRecord? record;
        try
        {
            if (new FileInfo(RecordPath) is { Exists: true, Length: > MostBytes })
            {
                throw Damaged("it is too long");
            }

            record = JsonSerializer.Deserialize(File.ReadAllBytes(RecordPath), PoolJson.Default.PoolRecord);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new VolumeException($"cannot open '{_name}': no such pool");
        }
        catch (JsonException e)
        {
            throw Damaged(e.Message);
        }

        if (record is not { Format: PoolRecord.FormatName, Version: PoolRecord.CurrentVersion, Type: "directory" or "zfs" })
        {
            throw Damaged($"format '{record?.Format}', version {record?.Version}, type '{record?.Type}'");
        }

        foreach (VolumeRecord volume in record.Volumes.Values)
        {
            if (!record.Layers.ContainsKey(volume.Layer) || volume.Snapshots.Any(snapshot => !record.Layers.ContainsKey(snapshot.Layer)))
            {
                throw Damaged("a volume's layer is missing");
            }
        }

        // Each chain must have an end: a hand-made record could lead back to itself.
        HashSet<long> sound = [];
        foreach (long layer in record.Layers.Keys)
        {
            int depth = 0;
            for (long? at = layer; at is { } id && !sound.Contains(id); at = record.Layers[id].Parent)
            {
                if (!record.Layers.ContainsKey(id) || ++depth > record.Layers.Count)
                {
                    throw Damaged($"the layers above {layer:x8} have no end");
                }
            }

            for (long? at = layer; at is { } id && sound.Add(id); at = record.Layers[id].Parent)
            {
            }
        }

        return record;
    }

    /// <summary>Replaces the record, durably.</summary>
    /// <param name="before">Flushes of what the record names: all of them, and the record's own bytes, are on the disk before the record has its name.</param>
    public void Save(PoolRecord record, params IReadOnlyList<Action> before)
    {
        string next = $"{RecordPath}.new";
        using (SafeFileHandle file = File.OpenHandle(next, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.Write(file, JsonSerializer.SerializeToUtf8Bytes(record, PoolJson.Default.PoolRecord), 0);

            // Beside each other, after the last of the writes: a file system with a journal has one commit for all of them.
            Task layers = before.Count == 0 ? Task.CompletedTask : BlockingCalls.RunAsync(() =>
            {
                foreach (Action flush in before)
                {
                    flush();
                }
            });
            try
            {
                FileStorage.FlushData(file);
            }
            finally
            {
                layers.GetAwaiter().GetResult();
            }
        }

        File.Move(next, RecordPath, overwrite: true);
        DirectorySync.Flush(Root);
    }

    private VolumeException Damaged(string reason) => new($"cannot open '{_name}': '{RecordPath}' is not a pool of ours: {reason}");
}
