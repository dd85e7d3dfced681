namespace Shinano.XenStore.Client;

/// <summary>How long to wait before xend is looked for again: short at first, twice as long each time it is in vain. One thread at a time.</summary>
internal sealed class ReconnectPause
{
    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(1);

    private TimeSpan _next = First;

    /// <summary>There was a connection: the next pause is a short one.</summary>
    public void Reset() => _next = First;

    /// <summary>Waits, or until it is cancelled; does not throw then.</summary>
    public async Task WaitAsync(CancellationToken cancellation)
    {
        await Task.Delay(_next, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _next = TimeSpan.FromTicks(Math.Min(_next.Ticks * 2, Longest.Ticks));
    }
}
