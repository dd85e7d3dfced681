using Shinano.Linux;
using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Pools;

/// <summary>Checks a pool: each layer's tables, and the record against the files.</summary>
public static class PoolCheck
{
    /// <summary>Checks, and repairs if that is wanted.</summary>
    /// <param name="volume">Only the layers of this volume; null for all of the pool.</param>
    /// <returns>What was found, a line each; none when all is well.</returns>
    public static async Task<IReadOnlyList<string>> RunAsync(
        DirectoryPool pool, VolumeName? volume, bool repair, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pool);
        List<string> found = [];
        PoolState state = pool.Read();
        long[] layers = volume is null ? [.. state.Record.Layers.Keys] : [.. state.Chain(state.Volume(volume, "check").Layer)];
        for (int i = 0; i < layers.Length; i++)
        {
            progress?.Report(new TransferProgress(i, layers.Length));
            string path = pool.Files.LayerPath(layers[i]);
            try
            {
                Describe(Path.GetFileName(path), await Qcow2Check.RunAsync(path, repair, cancellationToken).ConfigureAwait(false), found);
            }
            catch (ImageInUseException e)
            {
                found.Add($"{Path.GetFileName(path)}: not checked: in use by {e.Holder}");
            }
            catch (IOException e)
            {
                found.Add($"{Path.GetFileName(path)}: {e.Message}");
            }
        }

        if (volume is null)
        {
            await pool.ChangeAsync(present => CheckFiles(present, repair, found)).ConfigureAwait(false);
        }

        return found;
    }

    private static void Describe(string name, ImageCheckReport report, List<string> found)
    {
        string done = report.IsRepaired ? ", repaired" : "";
        if (report.Leaks > 0)
        {
            found.Add($"{name}: {report.Leaks} leaked clusters{done}");
        }

        if (report.LowRefcounts > 0)
        {
            found.Add($"{name}: {report.LowRefcounts} clusters with too low refcounts{done}");
        }

        if (report.WrongFlags > 0)
        {
            found.Add($"{name}: {report.WrongFlags} entries with a wrong flag{done}");
        }

        found.AddRange(report.Messages.Select(message => $"{name}: {message}"));
    }

    /// <summary>Files that no record names: what a process left that died before it had recorded its layer.</summary>
    private static void CheckFiles(PoolState state, bool repair, List<string> found)
    {
        HashSet<string> known = [.. state.Record.Layers.Keys.Select(state.Files.LayerPath)];
        foreach (string missing in known.Where(path => !File.Exists(path)))
        {
            found.Add($"{Path.GetFileName(missing)}: the file is missing");
        }

        foreach (string path in Directory.EnumerateFiles(state.Files.LayersDirectory).Where(path => !known.Contains(path)))
        {
            try
            {
                using ImageHold held = new(new ImageReference(path, ImageFormat.Qcow2));
                found.Add($"{Path.GetFileName(path)}: left over, {ByteSize.Format(FileStorage.GetAllocatedBytes(path))}{(repair ? ", removed" : "")}");
                if (repair)
                {
                    File.Delete(path);
                }
            }
            catch (ImageInUseException)
            {
                // A layer that somebody is making at the moment.
            }
        }
    }
}
