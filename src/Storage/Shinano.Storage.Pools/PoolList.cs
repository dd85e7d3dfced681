using Shinano.Linux;

namespace Shinano.Storage.Pools;

/// <summary>Counts the space of a pool and tells what is in it.</summary>
internal static class PoolList
{
    public static List<VolumeInfo> Of(DirectoryPool pool, PoolState state)
    {
        Dictionary<long, long> sizes = state.Record.Layers.Keys.ToDictionary(layer => layer, layer => FileStorage.GetAllocatedBytes(state.Files.LayerPath(layer)));
        long free = new DriveInfo(state.Files.Root).AvailableFreeSpace;
        long Referenced(long? layer)
        {
            long bytes = 0;
            for (; layer is { } id; layer = state.Record.Layers[id].Parent)
            {
                bytes += sizes[id];
            }

            return bytes;
        }

        List<VolumeInfo> list =
        [
            new VolumeInfo
            {
                Name = pool.Name,
                Type = "pool",
                Used = sizes.Values.Sum(),
                Available = free,
                Referenced = 0,
                Guid = state.Record.Guid,
                Compression = state.Record.Compression,
                Quota = state.Record.Quota,
            },
        ];
        foreach ((string name, VolumeRecord volume) in state.Record.Volumes)
        {
            list.Add(new VolumeInfo
            {
                Name = $"{pool.Name}/{name}",
                Type = "volume",
                Used = sizes[volume.Layer] + volume.Snapshots.Sum(snapshot => sizes[snapshot.Layer]),
                Available = free,
                Referenced = Referenced(volume.Layer),
                VolumeSize = volume.Size,
                Origin = volume.Origin is { } origin ? state.NameOf(origin) : null,
                Created = volume.Created,
                Guid = volume.Guid,
                InUseBy = Holder(state.Files.LayerPath(volume.Layer)),
                Layers = state.Depth(volume.Layer),
                IsReadOnly = volume.IsReadOnly,
                Compression = volume.Compression,
            });
            list.AddRange(volume.Snapshots.Select(snapshot => new VolumeInfo
            {
                Name = $"{pool.Name}/{name}@{snapshot.Name}",
                Type = "snapshot",
                Used = sizes[snapshot.Layer],
                Referenced = Referenced(snapshot.Layer),
                VolumeSize = snapshot.Size,
                Created = snapshot.Created,
                Guid = snapshot.Guid,
                Layers = state.Depth(snapshot.Layer),
                IsReadOnly = true,
            }));
        }

        return list;
    }

    private static string? Holder(string path)
    {
        try
        {
            using ImageHold file = new(new ImageReference(path, ImageFormat.Qcow2) { ReadOnly = true });
            return null;
        }
        catch (ImageInUseException e)
        {
            return e.Holder;
        }
    }
}
