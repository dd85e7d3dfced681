using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;

namespace Shinano.XenStore.Server;

/// <summary>
/// The events of one watch. Bounded, whatever a guest writes below it: a path that waits already is not added again, and too many different
/// ones become a single event of the watched path, which means "look at everything".
/// </summary>
internal sealed class StoreWatchQueue(string watched) : ChannelReader<string>
{
    /// <summary>Different paths kept at most.</summary>
    internal const int MaximumPending = 4096;

    private readonly Lock gate = new();
    private readonly Queue<string> pending = new();
    private readonly HashSet<string> known = new(StringComparer.Ordinal);
    private TaskCompletionSource<bool>? waiter;
    private bool isComplete;

    public override bool TryRead([MaybeNullWhen(false)] out string item)
    {
        lock (gate)
        {
            if (!pending.TryDequeue(out item))
            {
                return false;
            }

            known.Remove(item);
            return true;
        }
    }

    public override ValueTask<bool> WaitToReadAsync(CancellationToken cancellationToken = default)
    {
        lock (gate)
        {
            if (pending.Count > 0 || isComplete)
            {
                return ValueTask.FromResult(pending.Count > 0);
            }

            waiter ??= new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            return new ValueTask<bool>(waiter.Task.WaitAsync(cancellationToken));
        }
    }

    internal void Add(string path)
    {
        lock (gate)
        {
            if (isComplete || !known.Add(path))
            {
                return;
            }

            if (pending.Count >= MaximumPending)
            {
                pending.Clear();
                known.Clear();
                known.Add(watched);
                path = watched;
            }

            pending.Enqueue(path);
            waiter?.TrySetResult(true);
            waiter = null;
        }
    }

    internal void Complete()
    {
        lock (gate)
        {
            isComplete = true;
            waiter?.TrySetResult(false);
            waiter = null;
        }
    }
}
