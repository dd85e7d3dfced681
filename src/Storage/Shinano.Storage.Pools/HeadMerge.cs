using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Pools;

/// <summary>
/// Makes a volume's head hold what layers below it hold, and takes those from under it. The head is open for writing, so that no other process changes its chain. It reads the same
/// at each step: data, then the header, then the record; a process may end between any of them.
/// </summary>
internal sealed class HeadMerge(DirectoryPool pool, Qcow2Image head, long layer)
{
    /// <param name="kept">How many of the oldest layers stay below the head.</param>
    /// <param name="compress">Only when nobody else uses the image.</param>
    public async Task RunAsync(
        int kept, bool compress, Func<TimeSpan, ValueTask>? pace, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        // An earlier one may have ended between the header and the record.
        await RecordAsync().ConfigureAwait(false);
        long[] below = [.. pool.Read().Chain(layer).Skip(1)];
        if (below.Length <= kept)
        {
            return;
        }

        await ImageCopy.PullAsync(head, kept == 0 ? int.MaxValue : below.Length - kept, compress, pace, progress, cancellationToken).ConfigureAwait(false);
        if (kept == 0)
        {
            await head.RebaseAsync(null, null, null).ConfigureAwait(false);
        }
        else
        {
            ImageReference bottom = new(pool.Files.LayerPath(below[^kept]), ImageFormat.Qcow2) { ReadOnly = true };
            await head.RebaseAsync(Path.GetFileName(bottom.Path), "qcow2", Qcow2Opener.Open(bottom)).ConfigureAwait(false);
        }

        await RecordAsync().ConfigureAwait(false);
    }

    /// <summary>Makes the record say what the head's header says.</summary>
    private async Task RecordAsync()
    {
        long? parent = head.Backing is Qcow2Image backing ? PoolFile.LayerOf(backing.Path) : null;
        if (pool.Read().Record.Layers[layer].Parent == parent)
        {
            return;
        }

        await pool.ChangeAsync(state =>
        {
            if (parent is { } below && !state.Record.Layers.ContainsKey(below))
            {
                throw new VolumeException($"the header of '{head.Path}' names a backing file that the pool's record does not have");
            }

            state.Record.Layers[layer] = new LayerRecord(parent);
            if (parent is null && state.Record.Volumes.Values.First(volume => volume.Layer == layer) is { Snapshots.Count: 0 } independent)
            {
                independent.Origin = null;
            }

            DirectoryPool.SaveAndCollect(state);
        }).ConfigureAwait(false);
    }
}
