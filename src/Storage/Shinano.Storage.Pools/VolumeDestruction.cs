namespace Shinano.Storage.Pools;

/// <summary>Takes volumes and snapshots, and what depends on them if that is wanted, out of a record.</summary>
internal static class VolumeDestruction
{
    /// <param name="hold">Called for each volume that goes: refuses one that is in use.</param>
    public static void Run(PoolState state, VolumeName name, bool snapshots, bool clones, Action<VolumeRecord, VolumeName> hold)
    {
        VolumeRecord volume = state.Volume(name);
        SnapshotRecord[] going = name.Snapshot is null ? [.. volume.Snapshots] : [state.Snapshot(name)];
        if (name.Snapshot is null && going.Length > 0 && !snapshots && !clones)
        {
            throw new VolumeException(
                $"cannot destroy '{name}': volume has children\nuse '-r' to destroy the following datasets:\n"
                + string.Join('\n', going.Select(snapshot => $"{name.Dataset}@{snapshot.Name}")));
        }

        foreach (SnapshotRecord snapshot in going)
        {
            string[] dependents = [.. state.ClonesOf(snapshot.Guid)];
            if (dependents.Length > 0 && !clones)
            {
                string what = name.Snapshot is null ? "volume" : "snapshot";
                throw new VolumeException(
                    $"cannot destroy '{name}': {what} has dependent clones\nuse '-R' to destroy the following datasets:\n"
                    + string.Join('\n', dependents.Select(clone => $"{name.Pool}/{clone}")));
            }

            foreach (string clone in dependents)
            {
                Run(state, new VolumeName(name.Pool, clone, null), snapshots: true, clones: true, hold);
            }

            volume.Snapshots.Remove(snapshot);
        }

        if (name.Snapshot is null)
        {
            hold(volume, name);
            state.Record.Volumes.Remove(name.Volume);
        }
    }
}
