using Microsoft.Win32.SafeHandles;
using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Pools;

/// <summary>
/// Makes layers that lost their name a part of the one layer that builds on them. A layer whose volume is in use stays, until the next time.
/// The child reads the same at each step, so that a process may end at any of them.
/// </summary>
internal sealed class LayerMerge(PoolFile files, Func<Task<(SafeFileHandle Guard, PoolState State)>> read)
{
    public async Task RunAsync(IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        HashSet<long> tried = [];
        while (await NextAsync(tried).ConfigureAwait(false) is { } next)
        {
            tried.Add(next.Layer);
            Qcow2Image child;
            try
            {
                // Held exclusively, this layer has no reader: neither its own volume, nor one that builds on it.
                child = Qcow2Opener.Open(new ImageReference(files.LayerPath(next.Child), ImageFormat.Qcow2));
            }
            catch (ImageInUseException)
            {
                continue;
            }

            await using (child)
            {
                await ImageCopy.PullAsync(child, 1, compress: false, pace: null, progress, cancellationToken).ConfigureAwait(false);
                (SafeFileHandle guard, PoolState state) = await read().ConfigureAwait(false);
                using (guard)
                {
                    if (!state.Mergeable().Contains((next.Layer, next.Child)))
                    {
                        continue;
                    }

                    long? below = state.Record.Layers[next.Layer].Parent;
                    IBlockImage? backing = below is { } id
                        ? Qcow2Opener.Open(new ImageReference(files.LayerPath(id), ImageFormat.Qcow2) { ReadOnly = true })
                        : null;
                    await child.RebaseAsync(below is { } layer ? PoolFile.LayerFile(layer) : null, below is null ? null : "qcow2", backing).ConfigureAwait(false);
                    state.Record.Layers[next.Child] = new LayerRecord(below);
                    DirectoryPool.SaveAndCollect(state);
                }
            }
        }
    }

    private async Task<(long Layer, long Child)?> NextAsync(HashSet<long> tried)
    {
        (SafeFileHandle guard, PoolState state) = await read().ConfigureAwait(false);
        using (guard)
        {
            foreach ((long layer, long child) in state.Mergeable())
            {
                if (!tried.Contains(layer))
                {
                    return (layer, child);
                }
            }

            return null;
        }
    }
}
