namespace Shinano.Storage;

/// <summary>
/// Threads for calls that wait for a disk. .NET's own pool has as many threads as the host has CPUs and adds one in half a second: a queue of reads
/// from a disk would be two deep.
/// </summary>
internal static class BlockingCalls
{
    private const int MostThreads = 32;
    private const int StackBytes = 256 << 10;
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(10);
    private static readonly object Gate = new();
    private static readonly Queue<(Action Call, TaskCompletionSource Done)> Waiting = [];
    private static int _threads;
    private static int _idle;

    /// <summary>Runs a call that may block. What follows it may run on its thread.</summary>
    public static Task RunAsync(Action call)
    {
        // Not RunContinuationsAsynchronously: the answer to the guest is not worth another thread.
        TaskCompletionSource done = new();
        lock (Gate)
        {
            Waiting.Enqueue((call, done));
            if (Waiting.Count <= _idle)
            {
                Monitor.Pulse(Gate);
            }
            else if (_threads < MostThreads)
            {
                _threads++;
                new Thread(Work, StackBytes) { IsBackground = true, Name = "disk" }.UnsafeStart();
            }
        }

        return done.Task;
    }

    private static void Work()
    {
        while (Take() is { } next)
        {
            try
            {
                next.Call();
            }
            catch (Exception e)
            {
                next.Done.SetException(e);
                continue;
            }

            next.Done.SetResult();
        }
    }

    private static (Action Call, TaskCompletionSource Done)? Take()
    {
        lock (Gate)
        {
            while (Waiting.Count == 0)
            {
                _idle++;
                bool woken = Monitor.Wait(Gate, Idle);
                _idle--;
                if (!woken && Waiting.Count == 0)
                {
                    _threads--;
                    return null;
                }
            }

            return Waiting.Dequeue();
        }
    }
}
