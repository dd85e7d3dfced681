using Shinano.Linux;
using Shinano.Storage.Pools;

namespace Shinano.Storage.Writer;

/// <summary>Snapshots, clones, rollbacks and destructions until the process is killed. Prints "+ NAME" and "- NAME" for what is made and gone.</summary>
internal static class PoolChanges
{
    public static async Task RunAsync(string home, int seed)
    {
        VolumePools pools = new(ShinanoPaths.Under(home));
        IVolumePool pool = pools.Get("tank");
        Random random = new(seed);
        Console.WriteLine("ready");
        for (int i = 0; ; i++)
        {
            VolumeInfo[] all = [.. await pool.ListAsync()];
            VolumeInfo[] volumes = [.. all.Where(info => info.Type == "volume")];
            VolumeInfo[] snapshots = [.. all.Where(info => info.Type == "snapshot")];
            try
            {
                await StepAsync(pools, pool, random, $"n{seed}-{i}", volumes, snapshots);
            }
            catch (VolumeException)
            {
                // Clones and later snapshots stand in the way of some steps.
            }
        }
    }

    private static async Task StepAsync(VolumePools pools, IVolumePool pool, Random random, string fresh, VolumeInfo[] volumes, VolumeInfo[] snapshots)
    {
        VolumeName Pick(VolumeInfo[] from) => VolumeName.Parse(from[random.Next(from.Length)].Name);
        switch (volumes.Length == 0 ? 0 : random.Next(12))
        {
            case 0:
                await pool.CreateAsync(VolumeName.Parse($"tank/{fresh}"), 4 << 20);
                Say($"+ tank/{fresh}");
                break;
            case 1 when volumes.Length > 4:
                VolumeName gone = Pick(volumes);
                Say($"? {gone}");
                await pool.DestroyAsync(gone, snapshots: true, clones: false);
                break;
            case 2 or 3 when snapshots.Length > 0:
                await pool.CloneAsync(Pick(snapshots), VolumeName.Parse($"tank/{fresh}"));
                Say($"+ tank/{fresh}");
                break;
            case 4 when snapshots.Length > 0:
                await pool.RollbackAsync(Pick(snapshots), destroyNewer: false);
                break;
            case 5 or 6 when snapshots.Length > 3:
                VolumeName old = Pick(snapshots);
                Say($"? {old}");
                await pool.DestroyAsync(old, snapshots: false, clones: false);
                break;
            case 7:
                await ((DirectoryPool)pool).FlattenAsync(Pick(volumes));
                break;
            case 8 or 9:
                await using (IBlockImage image = await ImageFile.OpenAsync(await pools.ResolveAsync(Pick(volumes).ToString())))
                {
                    byte[] data = new byte[65536];
                    random.NextBytes(data);
                    await image.WriteAsync(random.Next(60) * 65536, data);
                    await image.FlushAsync();
                }

                break;
            default:
                VolumeName taken = Pick(volumes) with { Snapshot = fresh };
                await pool.SnapshotAsync(taken);
                Say($"+ {taken}");
                break;
        }
    }

    private static void Say(string line)
    {
        Console.Out.WriteLine(line);
        Console.Out.Flush();
    }
}
