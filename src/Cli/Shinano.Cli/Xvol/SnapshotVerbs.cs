using System.CommandLine;
using Shinano.Cli.Xm;
using Shinano.Control.Api.Xend;
using Shinano.Storage.Pools;

namespace Shinano.Cli.Xvol;

/// <summary>snapshot, clone, rollback, promote.</summary>
internal static class SnapshotVerbs
{
    public static void AddTo(Command root, XvolContext context)
    {
        Argument<string> made = context.Name("snapshot", "The new snapshot, as tank/solaris@today", info => info.Type == "volume");
        context.Add(root, "snapshot", "Takes a snapshot of a volume.", [made], (result, token) =>
        {
            VolumeName name = VolumeName.ParseSnapshot(result.GetRequiredValue(made), "create snapshot");
            return SnapshotAsync(context, name, token);
        });
        Argument<string> source = context.Snapshot();
        Argument<string> clone = new("volume") { Description = "The new volume" };
        context.Add(root, "clone", "Makes a volume that begins as a snapshot and takes space for differences only.", [source, clone], (result, token) =>
        {
            VolumeName snapshot = VolumeName.ParseSnapshot(result.GetRequiredValue(source), "clone");
            VolumeName name = VolumeName.ParseVolume(result.GetRequiredValue(clone), "create");
            return snapshot.Pool == name.Pool
                ? context.PoolOf(name).CloneAsync(snapshot, name, token)
                : throw new VolumeException($"cannot create '{name}': source and target pools differ");
        });
        Option<bool> newer = Verb.Flag("-r", "Destroy the snapshots that came later");
        Argument<string> back = context.Snapshot();
        context.Add(root, "rollback", "Makes a volume what it was at a snapshot.", [newer, back], (result, token) =>
        {
            VolumeName name = VolumeName.ParseSnapshot(result.GetRequiredValue(back), "rollback");
            return context.PoolOf(name).RollbackAsync(name, result.GetValue(newer), token);
        });
        Argument<string> promoted = context.Name("clone", "A clone", info => info.Origin is not null);
        context.Add(root, "promote", "Turns a clone and its origin around, so that the origin can be destroyed.", [promoted], (result, token) =>
        {
            VolumeName name = VolumeName.ParseVolume(result.GetRequiredValue(promoted), "promote");
            return context.PoolOf(name).PromoteAsync(name, token);
        });
    }

    /// <summary>A volume that a domain writes to is snapshotted by its process, which changes over to the new head.</summary>
    private static async Task SnapshotAsync(XvolContext context, VolumeName name, CancellationToken token)
    {
        try
        {
            await context.PoolOf(name).SnapshotAsync(name, token);
        }
        catch (VolumeBusyException busy) when (busy.IsHeldByDomain)
        {
            using XendClient xend = await context.Environment.ConnectAsync(token);
            await xend.SnapshotVolumeAsync(name.ToString(), token);
        }
    }
}
